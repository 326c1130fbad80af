import assert from "node:assert/strict"
import { test } from "node:test"

import { tokensOf } from "/static/js/markdown/lexer.js"
import { mathExtensions } from "/static/js/markdown/math.js"

const inline = text => tokensOf(text).tokens[0].tokens.map(({ type, text: shown, raw }) => [type, shown ?? raw])

test("mathematics within a line is kept as it is written", () => {
  assert.deepEqual(inline("so $a_1 * b_2 * c$ is"), [["text", "so "], ["math", "$a_1 * b_2 * c$"], ["text", " is"]])
  assert.deepEqual(inline("so \\(a * b * c\\) is"), [["text", "so "], ["math", "\\(a * b * c\\)"], ["text", " is"]])
  assert.deepEqual(inline("a $$x_1$$").slice(1), [["math", "$$x_1$$"]])
})

test("prices are no mathematics", () => {
  for (const text of ["costs $5 and $10", "from $5-$10", "a $ b $ c", "$5"]) {
    assert.equal(inline(text).some(([type]) => type === "math"), false, text)
  }
})

test("mathematics in blocks may have lines that look like lists", () => {
  const { tokens } = tokensOf("so\n\\[\na\n- b\n\\]\nand\n$$\nc\n$$\nend")
  assert.deepEqual(tokens.map(({ type, text }) => [type, text]), [
    ["paragraph", "so"], ["math_block", "\\[\na\n- b\n\\]"], ["paragraph", "and"], ["math_block", "$$\nc\n$$"], ["paragraph", "end"],
  ])
})

test("what never closes is no mathematics, and costs little", () => {
  assert.equal(mathExtensions.inline[0](`\\(${"a".repeat(50)}`), undefined)
  assert.equal(mathExtensions.block[0]("$$\na\n\nb\n$$"), undefined)
  assert.equal(mathExtensions.startInline[0]("no sign"), undefined)
  assert.equal(mathExtensions.startBlock[0]("a\n$$\nb\n$$"), 2)
})
