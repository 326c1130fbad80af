import assert from "node:assert/strict"
import { test } from "node:test"

import { Roster } from "/static/js/models/roster.js"

const MODELS = [
  { id: "collegium/auto", collegium: { virtual: true, description: "The router chooses" } },
  { id: "auto", collegium: { virtual: true, description: "The router chooses" } },
  { id: "collegium/vote", collegium: { virtual: true, description: "Most votes", aggregate: "vote" } },
  { id: "sql", collegium: { description: "SQL", enabled: true } },
  { id: "general", collegium: { generalist: true } },
  { id: "gone", collegium: { enabled: false } },
  { id: "json", collegium: {} },
  { id: "plain" },
]

async function roster(models = MODELS) {
  const made = new Roster({ models: async () => models })
  await made.load()
  return made
}

test("before it is loaded one can ask the router, and nobody else is known", () => {
  const made = new Roster({})
  assert.deepEqual([made.virtual.map(({ name }) => name), made.experts], [["auto"], []])
  assert.deepEqual(made.find("sql"), { name: "sql", description: "", hue: null })
})

test("experts that take part and virtual models are told apart, each once", async () => {
  const made = await roster()
  assert.deepEqual(made.experts.map(({ name }) => name), ["sql", "general", "json", "plain"])
  assert.deepEqual(made.virtual.map(({ name }) => name), ["auto", "collegium/vote"])
})

test("what the list leaves out is as usual", async () => {
  const { description, virtual, enabled, panel, generalist } = (await roster()).find("plain")
  assert.deepEqual({ description, virtual, enabled, panel, generalist }, {
    description: "", virtual: false, enabled: true, panel: false, generalist: false,
  })
})

test("only virtual models that combine answers are panels", async () => {
  const made = await roster()
  assert.deepEqual(["auto", "collegium/vote", "sql", "nobody"].map(name => made.isPanel(name)), [false, true, false, false])
})

test("generalists are grey, and specialists have hues that differ, whoever stands between them", async () => {
  const made = await roster()
  assert.equal(made.find("general").hue, null)
  const hues = made.experts.filter(({ generalist }) => !generalist).map(({ hue }) => hue)
  assert.deepEqual(hues.map(hue => hue.toFixed(3)), ["205.000", "342.508", "120.016"])
})

test("many hues stay on the circle and apart", async () => {
  const made = await roster(Array.from({ length: 20 }, (_, i) => ({ id: `e${i}` })))
  const hues = made.experts.map(({ hue }) => hue).sort((a, b) => a - b)
  assert.ok(hues[0] >= 0 && hues.at(-1) < 360)
  assert.ok(hues.slice(1).every((hue, i) => hue - hues[i] > 5))
})

test("an expert that left is known by its name, without the router's prefix", async () => {
  const made = await roster()
  assert.deepEqual(made.find("collegium/panel"), { name: "panel", description: "", hue: null })
  assert.equal(made.find(null).name, "")
  assert.equal(made.find(undefined).name, "")
})

test("whoever shows it is told of each load; one that fails changes nothing", async () => {
  const answers = [MODELS, new Error("no"), []]
  const made = new Roster({ models: async () => {
    const answer = answers.shift()
    if (answer instanceof Error) throw answer
    return answer
  } })
  let told = 0
  made.addEventListener("change", () => told++)
  await made.load()
  await assert.rejects(made.load(), /no/)
  assert.deepEqual([told, made.experts.length], [1, 4])
  await made.load()
  assert.deepEqual([told, made.experts, made.virtual], [2, [], []])
})

test("whether images are taken is what was found of the experts that may answer", async () => {
  const expert = (id, capabilities) => ({ id, collegium: { capabilities } })
  const taken = async (name, ...experts) => (await roster(experts)).takesImages(name)
  const [sees, blind, odd] = [expert("sees", { images: true }), expert("blind", { images: false }), expert("odd", {})]
  assert.equal(await taken("auto", blind, sees), "yes")
  assert.equal(await taken("blind", blind, sees), "no")
  assert.equal(await taken("auto", blind), "no")
  assert.equal(await taken("auto", blind, odd), "unknown")
  assert.equal(await taken("auto"), "unknown")
  assert.equal(await taken("other", expert("other", { modalities: { input: ["text", "image"] } })), "yes")
  assert.equal(await taken("other", expert("other", { modalities: { input: ["text"] } })), "no")
})
