import assert from "node:assert/strict"
import { test } from "node:test"

import { everyDay, scale, ticks } from "/static/js/lib/scale.js"

test("ticks are round numbers around all values", () => {
  assert.deepEqual(ticks(0, 9.3), [0, 2.5, 5, 7.5, 10])
  assert.deepEqual(ticks(0.62, 0.86), [0.6, 0.7, 0.8, 0.9])
  assert.deepEqual(ticks(0, 1234, 2), [0, 1000, 2000])
})

test("where all values are one, there still is an axis", () => {
  for (const value of [0, 0.3, -2, 1e-9]) {
    const marks = ticks(value, value)
    assert.ok(marks.length >= 2 && marks[0] <= value && marks.at(-1) >= value, String(marks))
  }
})

test("a value stands between the ends as it does between the bounds", () => {
  assert.equal(scale([0, 10], [100, 0])(2.5), 75)
})

test("every day is there, over the end of a month, and the last one is not counted", () => {
  assert.deepEqual(everyDay("2026-02-27", "2026-03-02"), ["2026-02-27", "2026-02-28", "2026-03-01"])
})
