import "../../fake_document.mjs"
import assert from "node:assert/strict"
import { test } from "node:test"

import { CodeBlock } from "/static/js/markdown/code_block.js"

const PAGE = { announcer: { say() {} } }

function parts({ element }) {
  const [head, pre] = element.children
  return [head.children[0].textContent, pre.attributes["aria-label"], pre.textContent]
}

test("code has its language, a button to copy it, and its text as it is", () => {
  const block = new CodeBlock({ lang: "js title=a.js", text: "<b>" }, PAGE)
  assert.deepEqual(parts(block), ["js", "Code in js", "<b>"])
  assert.equal(block.element.children[0].children[1].attributes.title, "Copy the code")
  assert.deepEqual(parts(new CodeBlock({ text: "" }, PAGE)), ["code", "Code", ""])
})

test("it may grow, or become another one", () => {
  const block = new CodeBlock({ lang: "", text: "a" }, PAGE)
  block.show({ lang: "", text: "a b" })
  assert.deepEqual(block.element.children[1].children[0].childNodes, ["a", " b"])
  block.show({ lang: "py", text: "c" })
  assert.deepEqual(parts(block), ["py", "Code in py", "c"])
})
