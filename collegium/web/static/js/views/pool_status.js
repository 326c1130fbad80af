// The pool's state in the masthead.

import { fill } from "/static/js/lib/dom.js"

export class PoolStatus {
  #element
  #pool
  #roster

  constructor(element, { pool, roster }) {
    this.#element = element
    this.#pool = pool
    this.#roster = roster
    pool.addEventListener("change", () => this.#show())
    roster.addEventListener("change", () => this.#show())
    this.#show()
  }

  #show() {
    const { state, detail } = this.#pool
    this.#element.dataset.state = state
    this.#element.title = detail
    fill(this.#element.querySelector(".pool__words"), this.#words(state))
  }

  #words(state) {
    const { length } = this.#roster.experts
    switch (state) {
      case "ready": return length === 1 ? "1 expert ready" : `${length || "All"} experts ready`
      case "unknown": return "Looking for the experts…"
      case "unreachable": return "Service not reachable"
      case "failed": return "The experts failed to start"
      case "stopped": return "The experts are stopped"
      default: return "The experts are starting…"
    }
  }
}
