// Tokens within a line as nodes. HTML is shown as it is written, and images are links: nothing is loaded by itself.

import { element } from "/static/js/lib/dom.js"
import { decoded } from "/static/js/markdown/entities.js"
import { safeAddress } from "/static/js/markdown/links.js"

const LINE_BREAK = /^<br\s*\/?>$/i

const KINDS = {
  strong: ({ tokens }) => element("strong", {}, ...inlineNodes(tokens)),
  em: ({ tokens }) => element("em", {}, ...inlineNodes(tokens)),
  del: ({ tokens }) => element("del", {}, ...inlineNodes(tokens)),
  codespan: ({ text }) => element("code", {}, text),
  math: ({ text }) => element("span", { class: "math" }, text),
  br: () => element("br"),
  html: ({ raw }) => LINE_BREAK.test(raw) ? element("br") : raw,
  escape: ({ text }) => text,
  plain: ({ text }) => text,
  checkbox: ({ checked }) => element("input", { type: "checkbox", disabled: true, checked, "aria-label": checked ? "Done" : "To do" }),
  link: token => link(token, inlineNodes(token.tokens)),
  image: token => link(token, [`Image: ${decoded(token.text) || token.href}`]),
  text: ({ text, tokens }) => tokens ? inlineNodes(tokens) : decoded(text),
}

export function inlineNodes(tokens) {
  return tokens.flatMap(token => Object.hasOwn(KINDS, token.type) ? KINDS[token.type](token) : token.raw)
}

function link({ href, title, raw }, children) {
  const address = safeAddress(href)
  if (!address) return raw
  return element("a", { href: address, title: title && decoded(title), target: "_blank", rel: "noopener noreferrer" }, ...children)
}
