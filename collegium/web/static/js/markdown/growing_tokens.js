// The tokens of a text that grows: what can't change any more is not read again.

import { bareCode, tokensOf } from "/static/js/markdown/lexer.js"

// These end with their own line; other blocks end where a blank line follows.
const ENDED_BY_THEMSELVES = new Set(["heading", "hr", "code"])

export class GrowingTokens {
  #settled = []
  #length = 0
  #links = {}
  #text = ""

  // Links may be defined below what they are used in, so a whole text is read as one.
  read(source, { whole = false } = {}) {
    const text = source.includes("\r") ? source.replace(/\r\n?/g, "\n") : source
    if (whole || !text.startsWith(this.#text)) this.#forget()
    this.#text = text
    const bare = bareCode(text)
    if (bare) return [bare]
    const { tokens, links } = tokensOf(text.slice(this.#length), this.#links)
    const all = [...this.#settled, ...tokens]
    this.#settle(tokens, links)
    return all
  }

  #settle(tokens, links) {
    const count = settledAmong(tokens)
    const length = tokens.slice(0, count).reduce((sum, { raw }) => sum + raw.length, 0)
    this.#settled.push(...tokens.slice(0, count))
    this.#length += length
    if (count > 0) this.#links = { ...links }
  }

  #forget() {
    this.#settled = []
    this.#length = 0
    this.#links = {}
  }
}

// How many tokens at the start stay as they are, whatever follows. The last block may still change; a list may take up
// what follows it, such as the "2" of an item that becomes "2.".
function settledAmong(tokens) {
  for (let at = tokens.findLastIndex(({ type }) => type !== "space"); at > 0; at--) {
    const before = tokens.slice(0, at).findLast(({ type }) => type !== "space")
    if (tokens[at].type !== "space" && before && before.type !== "list" && separated(tokens[at - 1])) return at
  }
  return 0
}

function separated({ type, raw }) {
  return type === "space" || ENDED_BY_THEMSELVES.has(type) || /\n[ \t]*\n$/.test(raw)
}
