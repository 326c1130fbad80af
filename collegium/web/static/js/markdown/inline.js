// Inline code and bold, as nodes; everything else is text as it stands.

import { element } from "/static/js/lib/dom.js"

const MARKED = /(?<!`)(`+)(?!`)([^\n]+?)(?<!`)\1(?!`)|\*\*(?=\S)([^\n]+?\S|\S)\*\*/g

export function inlineNodes(text) {
  const nodes = []
  let from = 0
  for (const match of text.matchAll(MARKED)) {
    nodes.push(text.slice(from, match.index), marked(match))
    from = match.index + match[0].length
  }
  nodes.push(text.slice(from))
  return nodes.filter(node => node !== "")
}

function marked([, ticks, code, bold]) {
  return ticks ? element("code", {}, code.trim()) : element("strong", {}, ...inlineNodes(bold))
}
