import assert from "node:assert/strict"
import { test } from "node:test"

import { contentOf, isImageAddress, textOf } from "/static/js/models/attachment.js"

const IMAGE = { kind: "image", name: "a.png", alt: "", url: "data:image/png;base64,AAAA" }

test("words alone are a text, as they always were", () => {
  assert.equal(contentOf("Hi", []), "Hi")
})

test("images and files go along as parts, with what was said of them", () => {
  assert.deepEqual(contentOf("What?", [{ ...IMAGE, alt: "a cat" }, { kind: "text", name: "b.txt", text: "hello" }]), [
    { type: "text", text: "What?" },
    { type: "text", text: 'Image "a.png": a cat' },
    { type: "image_url", image_url: { url: IMAGE.url } },
    { type: "text", text: 'File "b.txt":\n\nhello' },
  ])
  assert.deepEqual(contentOf("", [IMAGE]), [{ type: "image_url", image_url: { url: IMAGE.url } }])
})

test("only the data of an image is the address of one", () => {
  assert.ok(isImageAddress(IMAGE.url))
  for (const url of ["https://example.org/a.png", "data:image/svg+xml;base64,AAAA", "data:text/html;base64,AAAA", "data:image/png;base64,<x>", "javascript:x", "", null, 7]) {
    assert.equal(isImageAddress(url), false, String(url))
  }
})

test("text is what can be read as text", () => {
  assert.equal(textOf(new TextEncoder().encode("grüß")), "grüß")
  assert.equal(textOf(new Uint8Array([0xff, 0xfe, 0x41])), null)
  assert.equal(textOf(new TextEncoder().encode("a\0b")), null)
})
