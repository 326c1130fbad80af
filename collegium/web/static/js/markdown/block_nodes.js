// Blocks as nodes: paragraphs, headings, lists, tables, code, quotations, rules.

import { element } from "/static/js/lib/dom.js"
import { CodeBlock } from "/static/js/markdown/code_block.js"
import { inlineNodes } from "/static/js/markdown/inline_nodes.js"
import { ListBlock } from "/static/js/markdown/list_block.js"
import { TableBlock } from "/static/js/markdown/table_block.js"

const GROWING = {
  code: (token, page) => new CodeBlock(token, page),
  list: (token, page) => new ListBlock(token, tokens => blockNodes(tokens, page)),
  table: token => new TableBlock(token),
}

// Question marks the page's second level; an answer's headings come below it.
const HIGHEST = 3
const LOWEST = 6

const KINDS = {
  space: () => [],
  def: () => [],
  heading: ({ depth, tokens }) => element(`h${Math.min(depth + HIGHEST - 1, LOWEST)}`, { dir: "auto" }, ...inlineNodes(tokens)),
  paragraph: ({ tokens }) => element("p", { dir: "auto" }, ...inlineNodes(tokens)),
  text: ({ text, tokens }) => tokens ? inlineNodes(tokens) : text,
  checkbox: token => inlineNodes([token]),
  blockquote: ({ tokens }, page) => element("blockquote", { dir: "auto" }, ...blockNodes(tokens, page)),
  hr: () => element("hr"),
  math_block: ({ text }) => element("p", { class: "math" }, text),
  html: ({ raw }) => element("p", { dir: "auto" }, raw.trimEnd()),
  plain: ({ text }) => element("p", { dir: "auto" }, text),
}

export function blockNodes(tokens, page) {
  return tokens.flatMap(token => {
    const block = growingBlock(token, page)
    if (block) return block.element
    return Object.hasOwn(KINDS, token.type) ? KINDS[token.type](token, page) : token.raw
  })
}

// A block that can show a longer token of its kind, or null.
export function growingBlock(token, page) {
  return Object.hasOwn(GROWING, token.type) ? GROWING[token.type](token, page) : null
}
