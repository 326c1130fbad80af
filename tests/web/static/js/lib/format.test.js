import assert from "node:assert/strict"
import { test } from "node:test"

import { duration, energy, long, money, percent, UNKNOWN, whole } from "/static/js/lib/format.js"

function table(format, rows) {
  for (const [number, words] of rows) assert.equal(format(number), words, `of ${number}`)
}

test("what is no number is unknown, whatever its unit", () => {
  for (const format of [percent, money, duration, energy, whole]) {
    table(format, [undefined, null, NaN, Infinity, "12"].map(value => [value, UNKNOWN]))
  }
})

test("a share that is not nothing is never shown as nothing", () => {
  table(percent, [[0, "0 %"], [0.0001, "< 1 %"], [0.0099, "< 1 %"], [0.01, "1 %"], [0.905, "91 %"], [1, "100 %"]])
})

test("money is in dollars from a cent on, and in cents below", () => {
  table(money, [[0, "free"], [12.5, "$12.50"], [0.01, "$0.01"], [0.00123, "0.12 ¢"], [0.0000012, "0.00012 ¢"]])
})

test("a duration has the unit in which it is a short number, also where it rounds up to the next", () => {
  table(duration, [
    [0, "0 ms"], [999.4, "999 ms"], [999.5, "1.0 s"], [1500, "1.5 s"],
    [59_949, "59.9 s"], [59_950, "1.0 min"], [90_000, "1.5 min"],
  ])
})

test("only a wait of a second or more is long", () => {
  assert.deepEqual([999, 1000, undefined, null, NaN].map(long), [false, true, false, false, false])
})

test("energy has two significant digits and the unit in which it is a short number", () => {
  table(energy, [
    [0, "0 J"], [0.0123, "12 mJ"], [0.994, "990 mJ"], [1, "1 J"], [123, "120 J"], [994, "990 J"], [1500, "1.5 kJ"],
  ])
})

test("energy that rounds up to a thousand takes the next unit", () => {
  table(energy, [[0.996, "1 J"], [999, "1 kJ"]])
})

test("whole numbers have their thousands apart", () => {
  table(whole, [[0, "0"], [1234.5, "1,235"]])
})
