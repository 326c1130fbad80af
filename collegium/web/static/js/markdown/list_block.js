// A list, with lists in it; items may be added.

import { element } from "/static/js/lib/dom.js"
import { Series } from "/static/js/markdown/series.js"

export class ListBlock {
  #items

  constructor(token, childrenOf) {
    const start = token.ordered && token.start !== 1 ? token.start : null
    this.element = element(token.ordered ? "ol" : "ul", { start, dir: "auto" })
    this.#items = new Series(this.element, ({ task, tokens }) =>
      element("li", { class: task && "task" }, ...childrenOf(tokens)))
    this.show(token)
  }

  show({ items }) {
    this.#items.show(items, ({ tokens }) => JSON.stringify(tokens))
  }
}
