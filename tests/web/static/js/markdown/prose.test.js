import "../../fake_document.mjs"
import assert from "node:assert/strict"
import { test } from "node:test"

import { Prose } from "/static/js/markdown/prose.js"

function shown(...texts) {
  const prose = new Prose()
  for (const text of texts) prose.show(text, { whole: text === texts.at(-1) })
  return prose.element.childNodes.map(node => joined(node.tree))
}

// Texts side by side are one text to a person.
function joined([tag, attributes, ...children]) {
  const found = [tag, attributes]
  for (const child of children) {
    if (typeof child === "string" && typeof found.at(-1) === "string" && found.length > 2) found.push(found.pop() + child)
    else found.push(typeof child === "string" ? child : joined(child))
  }
  return found
}

const P = { dir: "auto" }

test("a paragraph has its marks, and nothing else", () => {
  assert.deepEqual(shown("a **b** *c* ~~d~~ `e`\nf"), [
    ["p", P, "a ", ["strong", {}, "b"], " ", ["em", {}, "c"], " ", ["del", {}, "d"], " ", ["code", {}, "e"], "\nf"],
  ])
})

test("an answer that grows ends as if it came at once", () => {
  const text = "Here:\n\n- one\n- two **bold\n  - three\n\n```sql\nSELECT 1\n\n```\nDone **bold** `x`.\n\n| a | b |\n|-|-:|\n| c | d |\n| e | f |\n\n> g\n\n[h][i] <b>j</b>\n\n[i]: https://example.org"
  const growing = Array.from({ length: text.length + 1 }, (_, length) => text.slice(0, length))
  assert.deepEqual(shown(...growing), shown(text))
})

test("nodes stay where nothing changed, and growing blocks keep what they have", () => {
  const prose = new Prose()
  prose.show("one\n\n- a\n- b", { whole: false })
  const [one, list] = prose.element.children
  const [item] = list.children
  prose.show("one\n\n- a\n- b\n- c", { whole: false })
  assert.deepEqual([prose.element.children[0] === one, prose.element.children[1] === list, list.children[0] === item], [true, true, true])
  assert.deepEqual(list.children.length, 3)
})

test("code grows by what is new", () => {
  const prose = new Prose()
  prose.show("```js\nlet a", { whole: false })
  const [block] = prose.element.children
  prose.show("```js\nlet a = 1\nlet b", { whole: false })
  assert.equal(prose.element.children[0], block)
  const [, pre] = block.children
  assert.deepEqual([pre.attributes["aria-label"], pre.textContent], ["Code in js", "let a = 1\nlet b"])
})

test("a text that became another one is shown as that", () => {
  assert.deepEqual(shown("one\n\ntwo", "three"), [["p", P, "three"]])
  assert.deepEqual(shown("one", ""), [])
})
