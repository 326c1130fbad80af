import "../../fake_document.mjs"
import assert from "node:assert/strict"
import { test } from "node:test"

import { inlineNodes } from "/static/js/markdown/inline.js"

function shown(text) {
  return inlineNodes(text).map(node => node.tree ?? node)
}

const code = text => ["code", {}, text]
const strong = (...children) => ["strong", {}, ...children]

function table(rows) {
  for (const [text, ...nodes] of rows) assert.deepEqual(shown(text), nodes, JSON.stringify(text))
}

test("text is text, tags and entities included", () => {
  table([["", ], ["a < b & c", "a < b & c"], ["<script>alert(1)</script>", "<script>alert(1)</script>"],
    ["[a](javascript:b) _c_ ~d~", "[a](javascript:b) _c_ ~d~"]])
})

test("code and bold are marked, wherever they stand", () => {
  table([
    ["`a`", code("a")],
    ["**a**", strong("a")],
    ["use `a` or **b** now", "use ", code("a"), " or ", strong("b"), " now"],
    ["**a b**,**c**", strong("a b"), ",", strong("c")],
  ])
})

test("more ticks hold code with ticks", () => {
  table([["``a ` b``", code("a ` b")], ["`` ` ``", code("`")], ["```a```", code("a")]])
})

test("bold may hold code, and code is never bold", () => {
  table([["**use `a` now**", strong("use ", code("a"), " now")], ["`a ** b ** c`", code("a ** b ** c")]])
})

test("what is not closed stays as it is, as while it grows", () => {
  table([["**a", "**a"], ["`a", "`a"], ["a``", "a``"], ["**", "**"], ["****", "****"], ["``a`", "``a`"], ["**a\nb**", "**a\nb**"]])
})

test("stars with spaces are stars", () => {
  table([["2 ** 3 ** 4", "2 ** 3 ** 4"], ["a * b * c", "a * b * c"]])
})

test("hostile texts take moments", () => {
  const start = performance.now()
  for (const text of ["**".repeat(2_000), "`a".repeat(2_000), "**a".repeat(2_000), `**${" a".repeat(2_000)}`]) inlineNodes(text)
  assert.ok(performance.now() - start < 2_000)
})
