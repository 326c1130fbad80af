// What an expert thought before it answered, for whoever wants to read it.

import { element, fill } from "/static/js/lib/dom.js"

export class Thoughts {
  #title = element("summary", { class: "thoughts__title" })
  #text = element("p", { class: "thoughts__text", dir: "auto" })
  #shown = ""
  element = element("details", { class: "thoughts", hidden: true }, this.#title, this.#text)

  show({ reasoning, text, finished }) {
    this.element.hidden = !reasoning
    fill(this.#title, finished || text ? "Thoughts" : "Thinking…")
    if (reasoning === this.#shown) return
    if (reasoning.startsWith(this.#shown)) this.#text.append(reasoning.slice(this.#shown.length))
    else fill(this.#text, reasoning)
    this.#shown = reasoning
  }
}
