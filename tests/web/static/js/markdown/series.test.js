import { element } from "/static/js/lib/dom.js"
import { Series } from "/static/js/markdown/series.js"
import "../../fake_document.mjs"
import assert from "node:assert/strict"
import { test } from "node:test"

test("nodes at the start that stayed the same are left as they are", () => {
  const parent = element("ul")
  const series = new Series(parent, text => element("li", {}, text))
  series.show(["a", "b"], text => text)
  const [first] = parent.children
  series.show(["a", "c", "d"], text => text)
  assert.deepEqual([parent.children[0] === first, parent.textContent], [true, "acd"])
  series.show(["a"], text => text)
  assert.equal(parent.textContent, "a")
})
