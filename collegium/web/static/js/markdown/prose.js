// Show growing Markdown: only the blocks that changed are built anew, so a selection survives.

import { element } from "/static/js/lib/dom.js"
import { blocksOf } from "/static/js/markdown/blocks.js"
import { inlineNodes } from "/static/js/markdown/inline.js"

export class Prose {
  #shown = []
  element = element("div", { class: "prose" })

  show(text) {
    const blocks = blocksOf(text).map(block => ({ ...block, source: JSON.stringify(block) }))
    const same = commonStart(this.#shown, blocks)
    for (const stale of [...this.element.children].slice(same)) stale.remove()
    this.element.append(...blocks.slice(same).map(nodeOf))
    this.#shown = blocks
  }
}

function commonStart(before, after) {
  const different = after.findIndex((block, index) => block.source !== before[index]?.source)
  return different < 0 ? after.length : different
}

function nodeOf(block) {
  switch (block.kind) {
    case "code":
      return element("pre", { tabindex: "0", "aria-label": codeLabel(block) }, element("code", {}, block.text))
    case "heading":
      return element("p", {}, element("strong", {}, ...inlineNodes(block.text)))
    case "bullets":
      return element("ul", {}, ...block.items.map(item))
    case "numbers":
      return element("ol", { start: block.start }, ...block.items.map(item))
    default:
      return element("p", {}, ...inlineNodes(block.text))
  }
}

function item(text) {
  return element("li", {}, ...inlineNodes(text))
}

function codeLabel({ language }) {
  return language ? `Code in ${language}` : "Code"
}
