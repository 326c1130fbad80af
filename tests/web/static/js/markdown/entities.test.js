import assert from "node:assert/strict"
import { test } from "node:test"

import { decoded } from "/static/js/markdown/entities.js"

test("references by name and by number are characters", () => {
  assert.equal(decoded("&lt;a&gt; &amp;amp; &quot;&#39;&#x27; &frac12; &#128512;"), "<a> &amp; \"'' ½ 😀")
})

test("what is no reference stays, and what no character is becomes the sign for that", () => {
  for (const text of ["AT&T", "&nosuch;", "&constructor;", "& lt;", "&lt", "&#;"]) assert.equal(decoded(text), text)
  assert.equal(decoded("&#0; &#xd800; &#x110000;"), "\ufffd \ufffd \ufffd")
})
