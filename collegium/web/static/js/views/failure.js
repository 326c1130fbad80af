// What went wrong, in words for people, and the way out of it.

import { element, fill, icon } from "/static/js/lib/dom.js"
import { problemWords } from "/static/js/views/problem_words.js"

export class Failure {
  #pool
  #answer = {}
  #title = element("p", { class: "failure__message" })
  #detail = element("p", { class: "failure__detail" })
  #hint = element("p", { class: "failure__hint" })

  constructor(pool, retry) {
    this.#pool = pool
    const button = element("button", { class: "button", type: "button", onclick: retry }, icon("retry"), "Retry")
    this.element = element("div", { class: "failure", hidden: true },
      element("div", {}, this.#title, this.#detail, this.#hint), button)
    pool.addEventListener("change", () => this.show())
  }

  show(answer = this.#answer) {
    this.#answer = answer
    const { error, willRetry } = answer
    this.element.hidden = !error
    if (!error) return
    this.element.toggleAttribute("data-waiting", willRetry)
    const { title, detail, hint } = willRetry ? this.#waiting(error) : problemWords(error)
    fill(this.#title, title)
    fill(this.#detail, detail)
    fill(this.#hint, hint)
  }

  #waiting({ message }) {
    const detail = this.#pool.state === "ready" ? message : this.#pool.detail || message
    return { title: "The experts are not ready yet.", detail, hint: "Your question is asked again as soon as they are." }
  }
}
