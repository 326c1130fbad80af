import "../../fake_document.mjs"
import assert from "node:assert/strict"
import { test } from "node:test"

import { blockNodes } from "/static/js/markdown/block_nodes.js"
import { tokensOf } from "/static/js/markdown/lexer.js"
import { ListBlock } from "/static/js/markdown/list_block.js"

function block(text) {
  return new ListBlock(tokensOf(text).tokens[0], tokens => blockNodes(tokens, {}))
}

const P = { dir: "auto" }

test("lists hold lists, and numbers go on where they began", () => {
  assert.deepEqual(block("- a\n  1. b\n- c").element.tree, ["ul", P, ["li", {}, "a", ["ol", P, ["li", {}, "b"]]], ["li", {}, "c"]])
  assert.deepEqual(block("3. a").element.tree, ["ol", { start: "3", dir: "auto" }, ["li", {}, "a"]])
  assert.deepEqual(block("- a\n\n- b").element.tree, ["ul", P, ["li", {}, ["p", P, "a"]], ["li", {}, ["p", P, "b"]]])
})

test("tasks have boxes that nobody can tick", () => {
  const [, , done, open] = block("- [x] a\n- [ ] b").element.tree
  assert.deepEqual(done, ["li", { class: "task" }, ["input", { type: "checkbox", disabled: "", checked: "", "aria-label": "Done" }], "a"])
  assert.deepEqual(open[2][1], { type: "checkbox", disabled: "", "aria-label": "To do" })
})

test("items may be added", () => {
  const list = block("- a\n- b")
  const [first] = list.element.children
  list.show(tokensOf("- a\n- b c\n- d").tokens[0])
  assert.deepEqual([list.element.children[0] === first, list.element.textContent], [true, "ab cd"])
})
