// What went wrong, in words for people, and the way out of it.

import { element, fill, icon } from "/static/js/lib/dom.js"
import { remaining } from "/static/js/lib/format.js"
import { problemWords } from "/static/js/views/problem_words.js"

const TICK_MS = 1_000

export class Failure {
  #pool
  #answer = {}
  #timer = null
  #title = element("p", { class: "failure__message" })
  #detail = element("p", { class: "failure__detail" })
  #hint = element("p", { class: "failure__hint" })
  #wait = element("p", { class: "failure__hint failure__wait" })

  constructor(pool, retry) {
    this.#pool = pool
    const button = element("button", { class: "button", type: "button", onclick: retry }, icon("retry"), "Retry")
    this.element = element("div", { class: "failure", hidden: true },
      element("div", {}, this.#title, this.#detail, this.#hint, this.#wait), button)
    pool.addEventListener("change", () => this.show())
  }

  show(answer = this.#answer) {
    this.#answer = answer
    const { error, willRetry } = answer
    this.element.hidden = !error
    this.#countDown()
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

  // As long as the service asked to be left alone.
  #countDown() {
    clearTimeout(this.#timer)
    const { error, willRetry } = this.#answer
    const left = error?.until ? Math.ceil((error.until - Date.now()) / 1000) : 0
    fill(this.#wait, left > 0 ? `${willRetry ? "Asked again" : "Worth a retry"} in ${remaining(left)}.` : "")
    if (left > 0) this.#timer = setTimeout(() => this.#countDown(), TICK_MS)
  }
}
