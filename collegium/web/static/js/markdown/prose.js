// Show growing Markdown: only the blocks that changed are built anew, so a selection survives.

import { element } from "/static/js/lib/dom.js"
import { blockNodes, growingBlock } from "/static/js/markdown/block_nodes.js"
import { GrowingTokens } from "/static/js/markdown/growing_tokens.js"

const SILENT = { say() {} }

export class Prose {
  #growing = new GrowingTokens()
  #shown = []
  #page
  #text = null
  element = element("div", { class: "prose" })

  constructor({ announcer = SILENT } = {}) {
    this.#page = { announcer }
  }

  show(text, { whole = true } = {}) {
    if (text === this.#text?.text && whole === this.#text.whole) return
    this.#text = { text, whole }
    this.#reconcile(this.#growing.read(text, { whole }).filter(({ type }) => !["space", "def"].includes(type)))
  }

  #reconcile(tokens) {
    const different = tokens.findIndex((token, index) => !sameToken(token, this.#shown[index]?.token))
    const same = different < 0 ? tokens.length : different
    const kept = this.#shown.slice(0, same)
    if (different >= 0 && grows(this.#shown[same], tokens[same])) kept.push(this.#grown(this.#shown[same], tokens[same]))
    for (const { nodes } of this.#shown.slice(kept.length)) for (const node of nodes) node.remove()
    const added = tokens.slice(kept.length).map(token => this.#built(token))
    this.element.append(...added.flatMap(({ nodes }) => nodes))
    this.#shown = [...kept, ...added]
  }

  #grown(shown, token) {
    shown.block.show(token)
    return { ...shown, token }
  }

  #built(token) {
    const block = growingBlock(token, this.#page)
    return { token, block, nodes: block ? [block.element] : wrapped(blockNodes([token], this.#page)) }
  }
}

// Only elements can be taken away again.
function wrapped(nodes) {
  return nodes.every(node => typeof node !== "string") ? nodes : [element("p", { dir: "auto" }, ...nodes)]
}

// Words of a link may depend on a definition that came later, so the tokens within count too.
function sameToken(token, shown) {
  if (token === shown) return true
  return token.type === shown?.type && token.raw === shown.raw && JSON.stringify(token) === JSON.stringify(shown)
}

function grows(shown, { type, ordered, start, header }) {
  if (!shown?.block || shown.token.type !== type) return false
  const { token } = shown
  return token.ordered === ordered && token.start === start && JSON.stringify(token.header) === JSON.stringify(header)
}
