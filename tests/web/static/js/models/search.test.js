import assert from "node:assert/strict"
import { test } from "node:test"

import { hasWords, wordsOf } from "/static/js/models/search.js"

const RECORD = {
  exchanges: [{ question: "Où est le café?", attachments: [{ name: "plan.png", alt: "Karte" }, { name: "a.txt", text: "geheim" }], answers: [{ text: "At the STATION." }] }],
}
const found = query => hasWords("Trip", RECORD, wordsOf(query))

test("all words are looked for, in titles, questions, answers and files", () => {
  for (const query of ["trip", "cafe station", "CAFÉ", "plan karte", "geheim", "ou est"]) assert.ok(found(query), query)
  for (const query of ["cafe airport", "base64"]) assert.equal(found(query), false, query)
})

test("nothing is no word", () => {
  assert.deepEqual(wordsOf("  \n "), [])
})
