import "../../fake_document.mjs"
import assert from "node:assert/strict"
import { test } from "node:test"

import { tokensOf } from "/static/js/markdown/lexer.js"
import { TableBlock } from "/static/js/markdown/table_block.js"

const table = text => tokensOf(text).tokens[0]

test("a table has heads for its columns, and their alignment", () => {
  const { element } = new TableBlock(table("| a | b |\n|:-:|--:|\n| **c** | d |"))
  assert.deepEqual(element.attributes, { class: "table", tabindex: "0", role: "group", "aria-label": "Table" })
  assert.deepEqual(element.children[0].tree, ["table", { dir: "auto" },
    ["thead", {}, ["tr", {}, ["th", { scope: "col", "data-align": "center" }, "a"], ["th", { scope: "col", "data-align": "right" }, "b"]]],
    ["tbody", {}, ["tr", {}, ["td", { "data-align": "center" }, ["strong", {}, "c"]], ["td", { "data-align": "right" }, "d"]]],
  ])
})

test("rows may be added", () => {
  const block = new TableBlock(table("| a |\n|-|\n| b |\n| c |"))
  const [, body] = block.element.children[0].children
  const [first] = body.children
  block.show(table("| a |\n|-|\n| b |\n| c d |\n| e |"))
  assert.deepEqual([body.children[0] === first, body.textContent], [true, "bc de"])
})
