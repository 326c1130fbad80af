import assert from "node:assert/strict"
import { test } from "node:test"

import { compact, day, dollars, duration, energy, long, margin, moment, money, percent, points, UNKNOWN, remaining, whole } from "/static/js/lib/format.js"

function table(format, rows) {
  for (const [number, words] of rows) assert.equal(format(number), words, `of ${number}`)
}

test("what is no number is unknown, whatever its unit", () => {
  for (const format of [percent, money, dollars, compact, points, margin, duration, energy, whole]) {
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

test("what remains is told by the second, and long waits by the minute", () => {
  table(remaining, [[1, "1 s"], [59, "59 s"], [60, "1 min 0 s"], [3599, "59 min 59 s"], [3600, "1 h 0 min"], [90000, "25 h 0 min"]])
})

test("sums of money may be nothing, and small ones keep two digits", () => {
  table(dollars, [[0, "$0"], [0.000047, "$0.000047"], [0.5, "$0.50"], [1234.567, "$1,234.57"]])
})

test("large numbers are short, points have their sign, margins theirs", () => {
  table(compact, [[0, "0"], [999, "999"], [2973, "2.97K"], [1_234_567, "1.23M"]])
  table(points, [[2, "+2"], [-14.94, "-14.9"], [0, "0"]])
  table(margin, [[32.63, "± 32.6"]])
})

test("a moment is a day and a time, also in seconds; days are in UTC", () => {
  assert.match(moment("2026-11-29T10:00:00Z"), /^Nov (28|29|30), \d\d:\d\d$/)
  assert.equal(moment(1_796_000_000), moment(new Date(1_796_000_000_000).toISOString()))
  assert.equal(moment(null), UNKNOWN)
  assert.equal(day("2026-11-29"), "Nov 29")
})
