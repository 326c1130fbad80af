// A panel's answers side by side: each member's words, votes and price, and the one that was taken.

import { element, fill } from "/static/js/lib/dom.js"
import { SeatView } from "/static/js/views/seat_view.js"

export class PanelView {
  #answer
  #page
  #views = new Map()
  #verdict = element("p", { class: "panel__verdict" })
  #seats = element("ol", { class: "panel__seats" })
  element = element("section", { class: "panel", "aria-label": "The panel's answers", hidden: true }, this.#seats, this.#verdict)

  constructor(answer, page) {
    this.#answer = answer
    this.#page = page
  }

  show() {
    const { panel } = this.#answer
    this.element.hidden = !panel
    if (!panel) return this.#clear()
    for (const seat of panel.seats) this.#view(seat).show(panel)
    this.#verdict.hidden = !panel.chosen
    fill(this.#verdict, panel.chosen ? this.#words(panel) : "")
  }

  #view(seat) {
    if (this.#views.has(seat)) return this.#views.get(seat)
    const view = new SeatView(seat, { answer: this.#answer, page: this.#page })
    this.#views.set(seat, view)
    this.#seats.append(view.element)
    return view
  }

  #words({ chosen, seats }) {
    const expert = seats.find(({ number }) => number === chosen.seat)?.expert ?? ""
    return `${expert}: ${chosen.how}.`
  }

  #clear() {
    this.#views.clear()
    fill(this.#seats)
  }
}
