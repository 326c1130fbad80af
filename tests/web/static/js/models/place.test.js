import assert from "node:assert/strict"
import { test } from "node:test"

import { parsePlace, placeHash, queryOf } from "/static/js/models/place.js"

test("a place is read back as it was written, whatever its names are", () => {
  const params = { expert: "org/a b&c?#é", status: "error" }
  assert.deepEqual(parsePlace(placeHash("decisions", "dec/1?x", params)), { page: "decisions", id: "dec/1?x", params })
})

test("nothing is the overview", () => {
  for (const hash of ["", "#", "#/"]) assert.deepEqual(parsePlace(hash), { page: "overview", id: null, params: {} })
})

test("a broken address is taken as it stands", () => {
  assert.deepEqual(parsePlace("#/decisions/%E0%A4%A"), { page: "decisions", id: "%E0%A4%A", params: {} })
})

test("empty values are left out, lists repeated", () => {
  assert.equal(queryOf({ a: "", b: null, c: undefined, d: ["x", "y"], e: 0 }), "?d=x&d=y&e=0")
  assert.equal(queryOf({}), "")
})
