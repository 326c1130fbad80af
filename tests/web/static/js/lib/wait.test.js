import assert from "node:assert/strict"
import { test } from "node:test"

import { pause } from "/static/js/lib/wait.js"

test("it waits", async () => {
  const start = performance.now()
  await pause(20)
  assert.ok(performance.now() - start >= 18)
})

test("whoever stopped before does not wait", async () => {
  const reason = new Error("stop")
  await assert.rejects(pause(60_000, AbortSignal.abort(reason)), reason)
})

test("whoever stops it ends the wait with the reason, and leaves no timer behind", async () => {
  const controller = new AbortController()
  const waiting = pause(60_000, controller.signal)
  controller.abort()
  await assert.rejects(waiting, { name: "AbortError" })
})

test("to stop afterwards does nothing, and waits leave no listeners on the signal", async () => {
  const { signal, added } = countingSignal()
  for (let i = 0; i < 3; i++) await pause(0, signal)
  assert.equal(added(), 0)
})

function countingSignal() {
  const { signal } = new AbortController()
  let count = 0
  const { addEventListener, removeEventListener } = signal
  signal.addEventListener = (...args) => { count++; addEventListener.apply(signal, args) }
  signal.removeEventListener = (...args) => { count--; removeEventListener.apply(signal, args) }
  return { signal, added: () => count }
}
