// A block of code: its language, a button that copies it, and its text, which may grow.

import { element, fill } from "/static/js/lib/dom.js"
import { copyButton } from "/static/js/views/copy_button.js"

export class CodeBlock {
  #text = ""
  #code = element("code")
  #pre = element("pre", { tabindex: "0", role: "group" }, this.#code)
  #language = element("span", { class: "code__language" })

  constructor(token, { announcer }) {
    const head = element("div", { class: "code__head" }, this.#language,
      copyButton(() => this.#text, announcer, { label: "Copy the code" }))
    this.element = element("div", { class: "code", dir: "ltr" }, head, this.#pre)
    this.show(token)
  }

  show({ lang = "", text }) {
    const language = lang.trim().split(/\s/)[0]
    fill(this.#language, language || "code")
    this.#pre.setAttribute("aria-label", language ? `Code in ${language}` : "Code")
    this.#append(text)
  }

  // Only what is new, so that a long block costs no more with each word.
  #append(text) {
    if (text === this.#text) return
    if (text.startsWith(this.#text)) this.#code.append(text.slice(this.#text.length))
    else fill(this.#code, text)
    this.#text = text
  }
}
