import "../../fake_document.mjs"
import assert from "node:assert/strict"
import { test } from "node:test"

import { ApiError } from "/static/js/api/api_error.js"
import { exampleFor } from "/static/js/views/examples.js"
import { level } from "/static/js/views/level.js"
import { measuresTable } from "/static/js/views/measures_table.js"
import { namePlate } from "/static/js/views/name_plate.js"
import { problemWords } from "/static/js/views/problem_words.js"

test("a known problem has its title, what the service said, and a hint", () => {
  const { title, detail, hint } = problemWords(new ApiError("sql: no answer in 60 s", { code: "expert_timeout" }))
  assert.deepEqual([title, detail], ["The expert took too long.", "sql: no answer in 60 s"])
  assert.match(hint, /Retry/)
})

test("our own words are not said twice", () => {
  assert.equal(problemWords(ApiError.cutOff()).detail, "")
  assert.equal(problemWords(ApiError.unreachable()).detail, "")
})

test("a problem that the page does not know is in the service's words, be its code as odd as it may", () => {
  for (const code of ["new_problem", "", "constructor", "toString", "__proto__"]) {
    assert.deepEqual(problemWords(new ApiError("Oh.", { code })), { title: "Oh.", detail: "", hint: "" }, code)
  }
})

test("experts that come with the service have examples, and generalists small talk", () => {
  assert.match(exampleFor({ name: "sql", generalist: false }).question, /SQLite/)
  assert.match(exampleFor({ name: "general", generalist: true }).title, /^Hello/)
})

test("experts that the page does not know have none, whatever their name", () => {
  for (const name of ["mine", "constructor", "toString"]) assert.equal(exampleFor({ name, generalist: false }), null, name)
})

test("a level is a bar with its number, empty where it is unknown", () => {
  const [known, unknown] = [level(0.25), level(undefined)]
  assert.deepEqual([known.textContent, known.children[0].style.properties], ["25 %", { "--level": "0.25" }])
  assert.deepEqual([unknown.textContent, unknown.children[0].style.properties], ["–", { "--level": "0" }])
})

test("a plate has two letters and the name, in the expert's colour or grey", () => {
  const plate = namePlate({ name: "sql", hue: 205 })
  assert.deepEqual(plate.children.map(({ textContent }) => textContent), ["sq", "sql"])
  assert.deepEqual(plate.style.properties, { "--expert-hue": "205", "--expert-chroma": "1" })
  assert.deepEqual(namePlate({ name: "general", hue: null }).style.properties, { "--expert-hue": "220", "--expert-chroma": "0.18" })
})

function rows(decision, outcome) {
  const [, , body] = measuresTable(decision, outcome).children
  return body.children.map(row => row.children.map(({ textContent }) => textContent))
}

const DECISION = {
  expert: "sql",
  forecasts: [
    { expert: "general", latency_ms: 9_000, cost_usd: 1, energy_j: 1, output_tokens: 1, wait_ms: 5_000 },
    { expert: "sql", latency_ms: 400, cost_usd: 0, energy_j: 12, output_tokens: 40, wait_ms: 10 },
  ],
}

test("the forecast of who answered stands beside what it took", () => {
  const outcome = { latency_ms: 1_500, cost_usd: 0.02, energy_j: 2_000, completion_tokens: 1_234, waited_ms: 0 }
  assert.deepEqual(rows(DECISION, outcome), [
    ["Latency", "400 ms", "1.5 s"], ["Cost", "free", "$0.02"], ["Energy", "12 J", "2 kJ"], ["Tokens", "40", "1,234"],
  ])
})

test("what is not known yet is a dash", () => {
  assert.deepEqual(rows(DECISION, null)[0], ["Latency", "400 ms", "–"])
  assert.deepEqual(rows({ expert: "gone", forecasts: [] }, undefined)[0], ["Latency", "–", "–"])
})

test("a wait is told only where somebody really waits", () => {
  const names = outcome => rows(DECISION, outcome).map(([name]) => name)
  assert.equal(names({ waited_ms: 999 }).includes("Of it waiting"), false)
  assert.equal(names({ waited_ms: 1_000 }).includes("Of it waiting"), true)
})
