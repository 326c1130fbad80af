import assert from "node:assert/strict"
import { test } from "node:test"

import { elementId, randomId } from "/static/js/lib/ids.js"

test("random ids are 128 bits in hexadecimal, zeros included", () => {
  const ids = Array.from({ length: 500 }, randomId)
  for (const id of ids) assert.match(id, /^[0-9a-f]{32}$/)
  assert.equal(new Set(ids).size, 500)
})

test("no two elements of a page have the same id", () => {
  const [one, other, another] = [elementId("why"), elementId("why"), elementId("panel")]
  assert.match(one, /^why-\d+$/)
  assert.match(another, /^panel-\d+$/)
  assert.notEqual(one, other)
})
