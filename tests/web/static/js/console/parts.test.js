import "../../fake_document.mjs"
import assert from "node:assert/strict"
import { test } from "node:test"

import { chip, facts, link, share, table } from "/static/js/console/parts.js"

test("a table has a name, headings for columns and rows, and text as text", () => {
  const made = table({ caption: "Experts", rows: [{ name: "<b>" }], columns: [{ name: "Expert", cell: ({ name }) => name }, { name: "Waiting", number: true, cell: () => "2" }] })
  assert.equal(made.attributes["aria-label"], "Experts")
  const [, , body] = made.children[0].children
  assert.deepEqual(body.children[0].children.map(({ tag, attributes, textContent }) => [tag, attributes, textContent]),
    [["th", { scope: "row" }, "<b>"], ["td", { "data-align": "right" }, "2"]])
})

test("an empty table says what to do instead", () => {
  assert.equal(table({ caption: "Experts", rows: [], columns: [], none: "Register one" }), "Register one")
})

test("a state is said in words, its colour is beside them", () => {
  assert.deepEqual([chip("rolled_back").textContent, chip("rolled_back").attributes["data-tone"]], ["rolled back", "bad"])
  assert.equal(chip("toString", undefined).textContent, "toString")
})

test("facts that are not known are left out, zero is known", () => {
  assert.equal(facts({ A: null, B: "", C: "0" }).children.length, 1)
})

test("links keep names whole, and shares stay within their bar", () => {
  assert.equal(link("x", "decisions", null, { expert: "a/b&c" }).attributes.href, "#/decisions?expert=a%2Fb%26c")
  assert.equal(share(1.7).children[0].style.properties["--share"], "1")
})
