// Draw a page's nodes in the place of the old ones; what has the focus, is open or is scrolled stays so.

import { fill } from "/static/js/lib/dom.js"

export function redraw(node, children) {
  const focused = keyOf(document.activeElement)
  const caret = document.activeElement?.selectionStart ?? null
  const open = [...node.querySelectorAll("details[open]")].map(keyOf)
  const scrolled = new Map([...node.querySelectorAll("[role=region]")].map(each => [each.getAttribute("aria-label"), each.scrollLeft]))
  fill(node, ...children)
  for (const details of node.querySelectorAll("details")) details.open = open.includes(keyOf(details))
  for (const each of node.querySelectorAll("[role=region]")) each.scrollLeft = scrolled.get(each.getAttribute("aria-label")) ?? 0
  if (focused) refocus([...node.querySelectorAll("[data-key]")].find(each => keyOf(each) === focused), caret)
}

function refocus(found, caret) {
  found?.focus({ preventScroll: true })
  if (caret !== null && found?.setSelectionRange) found.setSelectionRange(caret, caret)
}

function keyOf(node) {
  return node?.getAttribute?.("data-key") ?? null
}
