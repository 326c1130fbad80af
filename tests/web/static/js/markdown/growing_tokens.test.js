import assert from "node:assert/strict"
import { test } from "node:test"

import { GrowingTokens } from "/static/js/markdown/growing_tokens.js"
import { tokensOf } from "/static/js/markdown/lexer.js"
import { Lexer } from "/static/vendor/marked/marked.esm.js"

const TEXTS = [
  "# A\nb\n\nc **d** `e`\n- f\n\n  g\n- h\n\n1. i\n\n2. j\n   - k\n\nl",
  "a\n-\nb\n\n- c\n\n- d\n\n---\n\n* * *\n**e**\n\n1\n\n2. f",
  "| a | b |\n|:-|-:|\n| 1 | 2 |\n| 3 | 4 |\n\nafter\n\n| c |\n| - |\n| - |",
  "text:\n```js\nlet a\n\n- b\n\n```\nafter\n~~~\nc\n\n~~~~\n\n    d\n\n    e\n\nf",
  "> a\n> b\nlazy\n\n> c\n>\n> - d\n\n<details>\n<summary>e</summary>\n\nf\n\n</details>\n<!-- g\n\nh -->\n\ni",
  "so\n\n\\[\na_b\n- c\n\\]\n\nand $$d$$ and \\(e*f*g\\)\n$$\nh\n$$\n\ni $j$",
  "A: https://example.org/a_b_c, b@example.org\n===\n\nc  \nd\\\ne\n\n- [ ] f\n- [x] g\n\n\n\n",
  "a\r\nb\r\n\r\n- c\r\n- d\r\n",
]

test("a text that grows has at each moment the tokens that it would have at once", () => {
  for (const text of TEXTS) {
    const growing = new GrowingTokens()
    for (let length = 0; length <= text.length; length++) {
      const grown = text.slice(0, length)
      const { tokens } = tokensOf(grown.replace(/\r\n?/g, "\n"))
      assert.deepEqual(growing.read(grown), tokens, JSON.stringify(grown))
    }
  }
})

test("what is settled is the same token ever after, and is not read again", () => {
  const growing = new GrowingTokens()
  const early = growing.read("one\n\ntwo\n\nthr")
  const late = growing.read("one\n\ntwo\n\nthree\n\nfour")
  assert.equal(late[0], early[0])
  assert.equal(late[2], early[2])
  assert.notEqual(late[4], early[4])
})

test("the work of a long answer grows with its length, not with its square", () => {
  const { lex } = Lexer.prototype
  let read = 0
  Lexer.prototype.lex = function(source) {
    read += source.length
    return lex.call(this, source)
  }
  const growing = new GrowingTokens()
  const paragraph = "Some **words** and `code`, then more words of it.\n\n"
  let text = ""
  for (let count = 0; count < 1_000; count++) growing.read(text += paragraph)
  Lexer.prototype.lex = lex
  assert.ok(read <= 3 * text.length, `${read} characters read of ${text.length}`)
})

test("a text that is another one is read anew", () => {
  const growing = new GrowingTokens()
  growing.read("one\n\ntwo\n\nthree")
  assert.deepEqual(growing.read("four").map(({ raw }) => raw), ["four"])
  assert.deepEqual(growing.read("").length, 0)
})

test("links that are defined at the end are known once the text is whole", () => {
  const growing = new GrowingTokens()
  const text = "See [here][a].\n\nMore.\n\n[a]: https://example.org\n\nEnd."
  for (let length = 0; length <= text.length; length++) growing.read(text.slice(0, length))
  assert.equal(growing.read(text)[0].tokens.length, 1)
  assert.deepEqual(growing.read(text, { whole: true }), tokensOf(text).tokens)
  assert.equal(growing.read(text, { whole: true })[0].tokens[1].href, "https://example.org")
})

test("a link that was defined before is known in what comes later", () => {
  const growing = new GrowingTokens()
  const text = "[a]: https://example.org\n\nOne.\n\nTwo.\n\nSee [a]."
  for (let length = 0; length <= text.length; length++) growing.read(text.slice(0, length))
  assert.equal(growing.read(text).at(-1).tokens[1].type, "link")
})
