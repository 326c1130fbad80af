// The experts in a half circle, round the question.

import { element, fill } from "/static/js/lib/dom.js"
import { tint } from "/static/js/views/tint.js"

export class Hemicycle {
  #element
  #roster

  constructor(element, roster) {
    this.#element = element
    this.#roster = roster
    roster.addEventListener("change", () => this.#show())
  }

  #show() {
    const { experts } = this.#roster
    const question = element("span", { class: "hemicycle__question" })
    fill(this.#element, question, ...experts.map((expert, index) => seat(expert, index / Math.max(experts.length - 1, 1))))
  }
}

function seat(expert, share) {
  const node = element("span", { class: "seat" }, expert.name.slice(0, 2))
  node.style.setProperty("--angle", `${share * 180}deg`)
  return tint(node, expert)
}
