import assert from "node:assert/strict"
import { test } from "node:test"

import { list, number, numbers, oneOf, optional, record, text, truth, Unreadable } from "/static/js/models/checked.js"

const refused = (read, words) => assert.throws(read, error => error instanceof Unreadable && error.message === words, words)

test("values of the right kind are read", () => {
  const read = record({ a: "x", b: [1, 2], c: null, d: true, more: 1 }, "It", {
    a: text, b: (each, where) => list(each, where, number), c: (each, where) => optional(text, each, where), d: truth,
  })
  assert.deepEqual(read, { a: "x", b: [1, 2], c: null, d: true })
  assert.deepEqual(numbers({ sql: 0.5 }, "It"), { sql: 0.5 })
  assert.equal(oneOf("a", "It", ["a", "b"]), "a")
})

test("others are refused with their place", () => {
  refused(() => record({ a: 1 }, "It", { a: text }), "It.a is not a text")
  refused(() => record([], "It", {}), "It is not an object")
  refused(() => list([1, "2"], "It.b", number), "It.b[1] is not a number")
  refused(() => list({}, "It", number), "It is not a list")
  refused(() => list([1, 2], "It", number, { most: 1 }), "It has more than 1 entries")
  refused(() => text("abc", "It", { most: 2 }), "It is longer than 2 characters")
  refused(() => number(Number.NaN, "It"), "It is not a number")
  refused(() => truth("yes", "It"), "It is neither true nor false")
  refused(() => oneOf("c", "It", ["a", "b"]), "It is none of a, b")
  refused(() => numbers({ a: "1" }, "It"), "It.a is not a number")
})

test("what an object only inherits it does not have", () => {
  refused(() => record({}, "It", { constructor: text }), "It.constructor is not a text")
})
