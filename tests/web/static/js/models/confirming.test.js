import assert from "node:assert/strict"
import { test } from "node:test"

import { Confirming } from "/static/js/models/confirming.js"

const ROW = {
  number: 3, expert: "small", request: { messages: [{ role: "user", content: "2 + 2?" }] },
  answer: { content: "4" }, compared_with: { content: "5" },
}

test("the answer in question is first or second, and its mark is the same", () => {
  const swapped = new Confirming([ROW], () => 0)
  const straight = new Confirming([ROW], () => 0.9)
  assert.deepEqual(swapped.shown, { request: "user: 2 + 2?", first: "4", second: "5" })
  assert.deepEqual(straight.shown, { request: "user: 2 + 2?", first: "5", second: "4" })
  assert.deepEqual(swapped.mark("1"), { number: 3, expert: "small", score: 1 })
  assert.deepEqual(straight.mark("2"), { number: 3, expert: "small", score: 1 })
  assert.deepEqual([swapped.mark("2").score, straight.mark("1").score, straight.mark("t").score], [0, 0, 0.5])
})

test("an answer that was compared with none is right, wrong or half right", () => {
  const alone = new Confirming([{ ...ROW, compared_with: null }])
  assert.equal(alone.shown.second, null)
  assert.deepEqual(["y", "n", "h"].map(word => alone.mark(word).score), [1, 0, 0.5])
  assert.equal(alone.mark("1"), null)
})

test("what is skipped is not kept, and the sample ends", () => {
  const sample = new Confirming([ROW, ROW])
  assert.equal(sample.mark("s"), null)
  sample.next({ kept: false })
  sample.next({ kept: true })
  assert.deepEqual([sample.row, sample.at, sample.kept, sample.count], [null, 2, 1, 2])
})

test("calls of tools are shown, and long texts are cut", () => {
  const answer = { content: null, tool_calls: [{ function: { name: "find" } }] }
  assert.match(new Confirming([{ ...ROW, answer, compared_with: null }]).shown.first, /"name":"find"/)
  const long = new Confirming([{ ...ROW, answer: { content: "x".repeat(9000) }, compared_with: null }])
  assert.match(long.shown.first, /x… \[9000 characters\]$/)
})
