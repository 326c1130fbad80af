// A table with the alignment of its columns; a wide one scrolls by itself. Rows may be added.

import { element } from "/static/js/lib/dom.js"
import { inlineNodes } from "/static/js/markdown/inline_nodes.js"
import { Series } from "/static/js/markdown/series.js"

export class TableBlock {
  #body = element("tbody")
  #rows = new Series(this.#body, row => element("tr", {}, ...row.map(each => cell("td", each))))

  constructor(token) {
    const head = element("thead", {}, element("tr", {}, ...token.header.map(each => cell("th", each))))
    this.element = element("div", { class: "table", tabindex: "0", role: "group", "aria-label": "Table" },
      element("table", { dir: "auto" }, head, this.#body))
    this.show(token)
  }

  show({ rows }) {
    this.#rows.show(rows, row => JSON.stringify(row))
  }
}

function cell(tag, { tokens, align }) {
  return element(tag, { scope: tag === "th" && "col", "data-align": align }, ...inlineNodes(tokens))
}
