import "../../fake_document.mjs"
import assert from "node:assert/strict"
import { test } from "node:test"

import { Prose } from "/static/js/markdown/prose.js"

function shown(text) {
  const prose = new Prose()
  prose.show(text)
  return prose.element.tree.slice(2)
}

test("each kind of block has its element", () => {
  assert.deepEqual(shown("# T `c`\n\ntext\n- a\n- **b**\n\n3. c"), [
    ["p", {}, ["strong", {}, "T ", ["code", {}, "c"]]],
    ["p", {}, "text"],
    ["ul", {}, ["li", {}, "a"], ["li", {}, ["strong", {}, "b"]]],
    ["ol", { start: "3" }, ["li", {}, "c"]],
  ])
})

test("code can be reached by keyboard and says its language", () => {
  assert.deepEqual(shown("```js\n**a**\n```\n\n~~~\nb\n~~~"), [
    ["pre", { tabindex: "0", "aria-label": "Code in js" }, ["code", {}, "**a**"]],
    ["pre", { tabindex: "0", "aria-label": "Code" }, ["code", {}, "b"]],
  ])
})

test("blocks that did not change stay the same nodes while the text grows", () => {
  const prose = new Prose()
  prose.show("one\n\n- a")
  const [one, list] = prose.element.children
  prose.show("one\n\n- a\n- b\n\ntwo")
  assert.equal(prose.element.children[0], one)
  assert.notEqual(prose.element.children[1], list)
  assert.deepEqual(prose.element.children.map(({ textContent }) => textContent), ["one", "ab", "two"])
})

test("growing letter by letter ends as if shown at once", () => {
  const text = "# T\n\n1. a\n2. **b**\n\n```js\nlet a\n```\n- c\nend `e`"
  const prose = new Prose()
  for (let length = 1; length <= text.length; length++) prose.show(text.slice(0, length))
  assert.deepEqual(prose.element.tree.slice(2), shown(text))
})

test("another, shorter text leaves nothing of the old one", () => {
  const prose = new Prose()
  prose.show("one\n\ntwo\n\nthree")
  prose.show("one")
  assert.equal(prose.element.textContent, "one")
  prose.show("")
  assert.deepEqual(prose.element.childNodes, [])
})
