import assert from "node:assert/strict"
import { test } from "node:test"

import { safeAddress } from "/static/js/markdown/links.js"

test("whole addresses of sites and of mail are safe", () => {
  assert.equal(safeAddress("https://example.org/a b"), "https://example.org/a%20b")
  assert.equal(safeAddress("HTTP://example.org"), "http://example.org/")
  assert.equal(safeAddress("mailto:a@example.org"), "mailto:a@example.org")
})

test("nothing else is, however it is written", () => {
  for (const href of ["javascript:x", " javascript:x", "java\nscript:x", "\u0001javascript:x", "data:text/html,x", "//a", "/a", "a", ""]) {
    assert.equal(safeAddress(href), null, href)
  }
})
