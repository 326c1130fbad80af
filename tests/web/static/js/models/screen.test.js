import assert from "node:assert/strict"
import { test } from "node:test"

import { ApiError } from "/static/js/api/api_error.js"
import { Screen } from "/static/js/models/screen.js"

function watched() {
  const screen = new Screen()
  const told = []
  screen.addEventListener("change", () => told.push([screen.loading, screen.data, screen.error?.message ?? null]))
  return { screen, told }
}

test("a page loads, and what did not change is not told again", async () => {
  const { screen, told } = watched()
  const answers = [[1], [1], [2]]
  await screen.open(async () => answers.shift())
  await screen.refresh()
  await screen.refresh()
  assert.deepEqual(told, [[true, null, null], [false, [1], null], [false, [2], null]])
})

test("an error leaves what was shown, and is gone when the page loads again", async () => {
  const { screen, told } = watched()
  const answers = [[1], ApiError.unreachable(), [1]]
  await screen.open(async () => {
    const answer = answers.shift()
    if (answer instanceof Error) throw answer
    return answer
  })
  await screen.refresh()
  await screen.refresh()
  assert.deepEqual(told.slice(2), [[false, [1], "The service can't be reached."], [false, [1], null]])
})

test("what comes late for a page that was left is dropped", async () => {
  const { screen } = watched()
  let late
  const first = screen.open(() => new Promise(resolve => { late = resolve }))
  await screen.open(async () => "second")
  late("first")
  await first
  assert.equal(screen.data, "second")
})

test("a mistake of ours is not hidden", async () => {
  await assert.rejects(new Screen().open(async () => { throw new TypeError("oh") }), TypeError)
})
