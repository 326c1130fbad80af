import "../../fake_document.mjs"
import assert from "node:assert/strict"
import { test } from "node:test"

import { element, fill, icon, visuallyHidden } from "/static/js/lib/dom.js"

test("an element has its attributes and children, in order", () => {
  const { tree } = element("p", { class: "why" }, "4 ", element("b", {}, "of"), " 5")
  assert.deepEqual(tree, ["p", { class: "why" }, "4 ", ["b", {}, "of"], " 5"])
})

test("attributes that are not there are left out, and true ones are empty", () => {
  const attributes = { a: undefined, b: null, c: false, hidden: true, start: 0, title: "" }
  assert.deepEqual(element("p", attributes).attributes, { hidden: "", start: "0", title: "" })
})

test("children that are not there are left out; nothing and zero are text", () => {
  assert.deepEqual(element("p", {}, null, undefined, false, [0, ["", "a"].join("-")], "").childNodes, ["0", "-a", ""])
})

test("text is text, whatever it looks like", () => {
  assert.deepEqual(element("p", {}, "<img onerror=x>").tree, ["p", {}, "<img onerror=x>"])
})

test("what begins with on is listened to", () => {
  let clicks = 0
  const button = element("button", { onclick: () => clicks++ })
  button.dispatchEvent(new Event("click"))
  assert.deepEqual([clicks, button.attributes], [1, {}])
})

test("to fill is to replace", () => {
  const node = element("p", {}, "old", element("b"))
  fill(node, false, "new")
  assert.deepEqual(node.tree, ["p", {}, "new"])
})

test("icons are for eyes only, hidden text for ears only", () => {
  assert.deepEqual(icon("copy").tree, [
    "svg", { class: "icon", "aria-hidden": "true" }, ["use", { href: "/static/icons.svg#copy" }],
  ])
  assert.deepEqual(visuallyHidden("Copy").tree, ["span", { class: "visually-hidden" }, "Copy"])
})
