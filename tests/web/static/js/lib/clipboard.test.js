import assert from "node:assert/strict"
import { test } from "node:test"

import { copyText } from "/static/js/lib/clipboard.js"

function provide(name, value) {
  Object.defineProperty(globalThis, name, { configurable: true, value })
}

// A page without a clipboard API, whose browser copies what is selected, or refuses to.
function oldPage(copies) {
  const seen = { selected: null, copied: null, focused: 0, areas: 0 }
  const area = { select: () => { seen.selected = area.value }, remove: () => seen.areas-- }
  provide("navigator", {})
  provide("document", {
    activeElement: { focus: () => seen.focused++ },
    body: { append: () => seen.areas++ },
    createElement: () => area,
    execCommand(command) {
      if (copies) seen.copied = command === "copy" ? seen.selected : null
      return copies
    },
  })
  return seen
}

test("text goes to the clipboard", async () => {
  const written = []
  provide("navigator", { clipboard: { writeText: async text => { written.push(text) } } })
  await copyText("4\n")
  assert.deepEqual(written, ["4\n"])
})

test("a clipboard that refuses is told to whoever copies", async () => {
  const refusal = new DOMException("Not in this frame.", "NotAllowedError")
  provide("navigator", { clipboard: { writeText: async () => { throw refusal } } })
  await assert.rejects(copyText("4"), refusal)
})

test("without a clipboard API text is copied by selecting it, and the page is left as it was", async () => {
  const seen = oldPage(true)
  await copyText("4\n")
  assert.deepEqual(seen, { selected: "4\n", copied: "4\n", focused: 1, areas: 0 })
})

test("a browser that refuses that is told, too, and the page is left as it was", async () => {
  const seen = oldPage(false)
  await assert.rejects(copyText("4"), { name: "NotAllowedError" })
  assert.deepEqual([seen.copied, seen.focused, seen.areas], [null, 1, 0])
})
