// Ask another expert the same question: a row of experts, each with its forecast for it.

import { element, fill, visuallyHidden } from "/static/js/lib/dom.js"
import { percent } from "/static/js/lib/format.js"
import { elementId } from "/static/js/lib/ids.js"
import { namePlate } from "/static/js/views/name_plate.js"

export class Alternatives {
  #roster
  #ask
  element = element("div", { class: "alternatives", id: elementId("alternatives"), role: "group", "aria-label": "Ask another expert", hidden: true })

  constructor(roster, ask) {
    this.#roster = roster
    this.#ask = ask
  }

  toggle(answer) {
    this.element.hidden = !this.element.hidden
    if (!this.element.hidden) this.#offer(answer)
    return !this.element.hidden
  }

  #offer({ expert, decision }) {
    const qualities = new Map(decision?.forecasts.map(forecast => [forecast.expert, forecast.quality]))
    const others = this.#roster.experts
      .filter(({ name }) => name !== expert)
      .sort((a, b) => (qualities.get(b.name) ?? 0) - (qualities.get(a.name) ?? 0))
    fill(this.element, ...others.map(other => this.#choice(other, qualities.get(other.name))))
    this.element.querySelector("button")?.focus()
  }

  #choice(expert, quality) {
    const onclick = () => this.#ask(expert.name)
    return element("button", { class: "button alternatives__choice", type: "button", title: expert.description || null, onclick },
      visuallyHidden("Ask "), namePlate(expert), visuallyHidden(" forecast "),
      element("span", { class: "alternatives__quality" }, percent(quality)))
  }
}
