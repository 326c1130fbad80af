import assert from "node:assert/strict"
import { test } from "node:test"

import { ApiError } from "/static/js/api/api_error.js"
import { Pool } from "/static/js/models/pool.js"
import { withoutWaiting } from "../../clock.mjs"

const READY = { ready: true, status: "ready", detail: "" }
const STARTING = { ready: false, status: "starting", detail: "loading weights" }

// A pool whose service gives these answers, the last one ever after; and what it told.
function pool(...answers) {
  const seen = { asked: 0, told: [] }
  const made = new Pool({
    async readiness() {
      seen.asked++
      const answer = answers.length > 1 ? answers.shift() : answers[0]
      if (answer instanceof Error) throw answer
      return answer
    },
  })
  made.addEventListener("change", () => seen.told.push([made.state, made.detail]))
  return { pool: made, seen }
}

test("its state is what the service says, with why", async () => {
  const { pool: made, seen } = pool(STARTING, READY)
  assert.equal(made.state, "unknown")
  await made.check()
  await made.check()
  assert.deepEqual(seen.told, [["starting", "loading weights"], ["ready", ""]])
})

test("only changes are told", async () => {
  const { pool: made, seen } = pool(STARTING, STARTING, { ...STARTING, detail: "warming up" }, READY, READY)
  for (let i = 0; i < 5; i++) await made.check()
  assert.deepEqual(seen.told.map(([, detail]) => detail), ["loading weights", "warming up", ""])
})

test("an answer that does not say why is taken for a start", async () => {
  const { pool: made } = pool({ ready: false, status: "", detail: "" })
  await made.check()
  assert.equal(made.state, "starting")
})

test("a service that can't be reached is a state, too", async () => {
  const { pool: made, seen } = pool(ApiError.unreachable(), READY)
  await made.check()
  await made.check()
  assert.deepEqual(seen.told, [["unreachable", "The service can't be reached."], ["ready", ""]])
})

test("any other error is nobody's to hide, and the next check asks anew", async () => {
  const { pool: made, seen } = pool(new RangeError("a bug"), READY)
  await assert.rejects(made.check(), RangeError)
  assert.equal(made.state, "unknown")
  await made.check()
  assert.deepEqual([made.state, seen.asked], ["ready", 2])
})

test("checks at the same time are one", async () => {
  const { pool: made, seen } = pool(READY)
  await Promise.all([made.check(), made.check(), made.check()])
  assert.equal(seen.asked, 1)
})

test("whoever waits for it waits until it is ready", async () => {
  const { pool: made, seen } = pool(STARTING, ApiError.unreachable(), READY)
  const waits = await withoutWaiting(() => made.untilReady())
  assert.deepEqual([made.state, seen.asked, waits], ["ready", 3, [1500, 1500]])
})

test("whoever stops waiting is let go", async () => {
  const { pool: made } = pool(STARTING)
  const controller = new AbortController()
  const waiting = made.untilReady(controller.signal)
  setTimeout(() => controller.abort(), 5)
  await assert.rejects(waiting, { name: "AbortError" })
})

test("it is watched closely until it is ready, and then from time to time", async () => {
  const end = new RangeError("the end of the test")
  const { pool: made } = pool(STARTING, STARTING, READY, READY, end)
  const waits = await withoutWaiting(() => assert.rejects(made.watch(), end))
  assert.deepEqual(waits, [1500, 1500, 20_000, 20_000])
})
