import "../../fake_document.mjs"
import assert from "node:assert/strict"
import { test } from "node:test"

import { blockNodes, growingBlock } from "/static/js/markdown/block_nodes.js"
import { tokensOf } from "/static/js/markdown/lexer.js"

const PAGE = { announcer: { say() {} } }
const P = { dir: "auto" }

function trees(text) {
  return blockNodes(tokensOf(text).tokens, PAGE).map(node => node.tree ?? node)
}

test("headings come below the question's", () => {
  assert.deepEqual(trees("# a\n## b\n###### c"), [["h3", P, "a"], ["h4", P, "b"], ["h6", P, "c"]])
})

test("quotations hold blocks, rules and mathematics are what they are", () => {
  assert.deepEqual(trees("> a\n>\n> b\n\n---\n\n\\[\nx_1\n\\]"), [
    ["blockquote", P, ["p", P, "a"], ["p", P, "b"]], ["hr", {}], ["p", { class: "math" }, "\\[\nx_1\n\\]"],
  ])
})

test("HTML is text", () => {
  assert.deepEqual(trees("<div onclick='x'>\na\n</div>"), [["p", P, "<div onclick='x'>\na\n</div>"]])
  assert.deepEqual(trees("<script>alert(1)</script>"), [["p", P, "<script>alert(1)</script>"]])
})

test("definitions and empty lines show nothing, and an odd token is as it was written", () => {
  assert.deepEqual(trees("[a]: https://example.org\n\n"), [])
  assert.deepEqual(blockNodes([{ type: "constructor", raw: "x" }], PAGE), ["x"])
  assert.equal(growingBlock({ type: "constructor" }, PAGE), null)
})
