import assert from "node:assert/strict"
import { test } from "node:test"

import { ApiError } from "/static/js/api/api_error.js"
import { Answer } from "/static/js/models/answer.js"
import { words } from "../../streams.mjs"

function answer(...chunks) {
  const made = new Answer("auto")
  for (const chunk of chunks) made.receive(chunk)
  return made
}

function changes(target, act) {
  let count = 0
  target.addEventListener("change", () => count++)
  act()
  return count
}

test("at first nothing is known, and it is neither finished nor usable", () => {
  const made = answer()
  assert.deepEqual([made.requested, made.state, made.text, made.expert], ["auto", "waiting", "", null])
  assert.deepEqual([made.finished, made.usable, made.panel], [false, false, null])
})

test("text grows with each chunk, and everybody is told", () => {
  const made = answer()
  assert.equal(changes(made, () => { made.receive(words("Hel")); made.receive(words("lo")) }), 2)
  assert.deepEqual([made.text, made.state, made.finished, made.usable], ["Hello", "streaming", false, false])
})

test("the first decision counts, and the last outcome", () => {
  const made = answer(
    { collegium: { decision: { expert: "sql" } } },
    { ...words("a"), collegium: { decision: { expert: "other" }, outcome: { latency_ms: 1 } } },
    words("b"),
    { choices: [], collegium: { outcome: { latency_ms: 2 } } },
  )
  assert.deepEqual([made.expert, made.outcome.latency_ms, made.text], ["sql", 2, "ab"])
})

test("chunks without choices, deltas or text add nothing", () => {
  const made = answer({}, { choices: [] }, { choices: [{ finish_reason: null }] }, { choices: [{ delta: {} }] },
    { choices: [{ delta: { role: "assistant", content: null } }] }, { choices: [], usage: { total_tokens: 3 } })
  assert.deepEqual([made.text, made.cut], ["", false])
})

test("an answer that reached its limit is cut, whatever comes after", () => {
  assert.equal(answer(words("a"), words("", { finish_reason: "stop" })).cut, false)
  assert.equal(answer(words("a", { finish_reason: "length" }), { choices: [] }).cut, true)
})

test("a finished answer can be used", () => {
  const made = answer(words("Hello"))
  made.finish()
  assert.deepEqual([made.state, made.finished, made.usable], ["done", true, true])
})

test("an answer of nothing is a failure", () => {
  const made = answer(words(" \n"))
  made.finish()
  assert.deepEqual([made.state, made.error.code, made.finished, made.usable], ["failed", "empty", true, false])
})

test("a failure that is tried again is not the end", () => {
  const made = answer()
  const error = new ApiError("starting", { status: 503 })
  made.fail(error, { willRetry: true })
  assert.deepEqual([made.state, made.error, made.finished], ["failed", error, false])
  made.fail(error)
  assert.deepEqual([made.state, made.finished, made.usable], ["failed", true, false])
})

test("to clear is to forget all but what was asked for, and whether it was stopped", () => {
  const made = answer({ ...words("Hel"), collegium: { decision: { expert: "sql" }, panel: { event: "started", seat: 0 } } })
  made.rated("good_fit")
  made.fail(new ApiError("no"), { willRetry: true })
  const { signal } = made
  made.clear()
  const { requested, state, text, error, willRetry, expert, panel, rating } = made
  assert.deepEqual({ requested, state, text, error, willRetry, expert, panel, rating }, {
    requested: "auto", state: "waiting", text: "", error: null, willRetry: false, expert: null, panel: null, rating: null,
  })
  assert.equal(made.signal, signal)
})

test("what was said before a stop can be used", () => {
  const made = answer(words("Hel"))
  made.abort()
  made.stopped()
  assert.deepEqual([made.signal.aborted, made.state, made.finished, made.usable], [true, "stopped", true, true])
})

test("a stop before the first word leaves nothing to use", () => {
  const made = answer()
  made.stopped()
  assert.deepEqual([made.state, made.finished, made.usable], ["stopped", true, false])
})

test("a stop while it waits to be tried again leaves the failure", () => {
  const made = answer()
  made.fail(new ApiError("starting", { status: 503 }), { willRetry: true })
  made.stopped()
  assert.deepEqual([made.state, made.willRetry, made.finished], ["failed", false, true])
})

test("a panel is heard beside the text", () => {
  const made = answer(
    { ...words(""), collegium: { panel: { event: "started", seat: 0, expert: "sql", role: "member" } } },
    { ...words(""), collegium: { panel: { event: "said", seat: 0, text: "4" } } },
    words("4"),
  )
  assert.deepEqual([made.text, made.panel.seats.length, made.panel.find(0).text], ["4", 1, "4"])
})

test("the answer of a member that a person prefers is the answer", () => {
  const made = answer({ collegium: { panel: { event: "replied", seat: 1, text: "five" } } }, words("four"))
  made.finish()
  const seat = made.panel.find(1)
  assert.equal(changes(made, () => made.prefer(seat)), 1)
  assert.deepEqual([made.text, made.preferred, made.usable], ["five", seat, true])
})

test("another expert may answer than the chosen one, and its thoughts are kept apart", () => {
  const made = answer(
    { collegium: { decision: { expert: "sql" }, expert: "general", tried: [{ expert: "sql", error: "busy" }] }, choices: [] },
    { choices: [{ delta: { reasoning_content: "Hm" } }] },
    { choices: [{ delta: { reasoning: "…" } }] },
    words("Hello"),
  )
  assert.deepEqual([made.expert, made.tried[0].expert, made.reasoning, made.text], ["general", "sql", "Hm…", "Hello"])
})

test("an answer that was kept is shown as it was", () => {
  const made = answer()
  assert.equal(changes(made, () => made.restore({ text: "Hello", state: "done" })), 1)
  assert.deepEqual([made.text, made.finished, made.usable], ["Hello", true, true])
})
