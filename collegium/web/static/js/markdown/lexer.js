// Markdown as tokens, by marked's lexer. What it can't or should not read stays text.

import { mathExtensions } from "/static/js/markdown/math.js"
import { Lexer } from "/static/vendor/marked/marked.esm.js"

// Some runs of marks take marked a time that grows with the square of their length: 1 s for 20,000 characters.
const LONGEST_RUN = 8_000

// Specialists answer with bare SQL or JSON, as they were taught.
const BARE_CODE = /^(?:(SELECT|WITH)\s|[{[]\s*["{[])/

export function tokensOf(text, links = {}) {
  const lexer = new BoundedLexer({ gfm: true, extensions: mathExtensions })
  Object.assign(lexer.tokens.links, links)
  try {
    const tokens = [...lexer.lex(text)]
    return { tokens, links: lexer.tokens.links }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error // quotations in quotations, thousands deep
    return { tokens: [{ type: "plain", raw: text, text }], links }
  }
}

export function bareCode(text) {
  const bare = BARE_CODE.exec(text)
  return bare && { type: "code", lang: bare[1] ? "SQL" : "JSON", raw: text, text }
}

class BoundedLexer extends Lexer {
  inlineTokens(source, tokens = []) {
    if (source.length <= LONGEST_RUN) return super.inlineTokens(source, tokens)
    tokens.push({ type: "plain", raw: source, text: source })
    return tokens
  }
}
