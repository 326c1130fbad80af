import "../../fake_document.mjs"
import assert from "node:assert/strict"
import { test } from "node:test"

import { inlineNodes } from "/static/js/markdown/inline_nodes.js"
import { tokensOf } from "/static/js/markdown/lexer.js"

function trees(text) {
  const [{ tokens }] = tokensOf(text).tokens
  return inlineNodes(tokens).map(node => node.tree ?? node)
}

const LINK = { target: "_blank", rel: "noopener noreferrer" }

test("links lead to other sites and to mail, without telling them where they come from", () => {
  assert.deepEqual(trees("[*a*](https://example.org 'b &amp; c')"), [["a", { href: "https://example.org/", title: "b & c", ...LINK }, ["em", {}, "a"]]])
  assert.deepEqual(trees("https://example.org/x"), [["a", { href: "https://example.org/x", ...LINK }, "https://example.org/x"]])
  assert.deepEqual(trees("a@example.org"), [["a", { href: "mailto:a@example.org", ...LINK }, "a@example.org"]])
})

test("other addresses are no links", () => {
  const addresses = ["javascript:alert(1)", "JaVaScRiPt:alert(1)", "java&#115;cript:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc", "blob:x", "/v1/experts", "//example.org", "x"]
  for (const address of addresses) assert.deepEqual(trees(`[a](${address})`), [`[a](${address})`], address)
  assert.deepEqual(trees("![a](data:image/png;base64,AAAA)"), ["![a](data:image/png;base64,AAAA)"])
})

test("images are links to them, so that nothing is loaded by itself", () => {
  assert.deepEqual(trees("![a](https://example.org/a.png)"), [["a", { href: "https://example.org/a.png", ...LINK }, "Image: a"]])
  assert.match(trees("![](https://example.org/a.png)")[0].at(-1), /^Image: https/)
})

test("HTML is text, but for a line's break", () => {
  assert.deepEqual(trees("a <b onload=x>b</b> <img src=x onerror=y>"), ["a ", "<b onload=x>", "b", "</b>", " ", "<img src=x onerror=y>"])
  assert.deepEqual(trees("a<br>b<BR />c  \nd"), ["a", ["br", {}], "b", ["br", {}], "c", ["br", {}], "d"])
})

test("references are characters in words, and not in code", () => {
  assert.deepEqual(trees("&lt;b&gt; `&lt;`"), ["<b> ", ["code", {}, "&lt;"]])
})

test("marks after a backslash, mathematics and odd tokens are as they are written", () => {
  assert.deepEqual(trees("\\*a\\* $b_1*c*$"), ["*", "a", "*", " ", ["span", { class: "math" }, "$b_1*c*$"]])
  assert.deepEqual(inlineNodes([{ type: "toString", raw: "x" }]), ["x"])
})
