// One seat of a panel: who, what it says, how it fared, and a button to prefer its answer.

import { element, fill } from "/static/js/lib/dom.js"
import { ApiError } from "/static/js/api/api_error.js"
import { duration, money } from "/static/js/lib/format.js"
import { namePlate } from "/static/js/views/name_plate.js"
import { tint } from "/static/js/views/tint.js"

const ROLES = { aggregator: "combines", judge: "judges", verifier: "checks" }

export class SeatView {
  #seat
  #answer
  #page
  #who = element("div", { class: "panel__who" })
  #marks = element("p", { class: "panel__marks" })
  #text = element("p", { class: "panel__text" })
  #facts = element("p", { class: "panel__facts" })
  #prefer = element("button", { class: "button button--quiet panel__prefer", type: "button", onclick: () => this.#pick() }, "Prefer this answer")

  constructor(seat, { answer, page }) {
    this.#seat = seat
    this.#answer = answer
    this.#page = page
    this.element = element("li", { class: "panel__seat" },
      element("div", { class: "panel__top" }, this.#who, this.#marks), this.#text, this.#facts, this.#prefer)
  }

  show(panel) {
    const { number, expert, state, text, reason, call } = this.#seat
    const known = this.#page.roster.find(expert)
    const taken = this.#answer.preferred ? this.#answer.preferred === this.#seat : panel.chosen?.seat === number
    this.element.dataset.state = state
    this.element.toggleAttribute("data-taken", taken)
    tint(this.element, known)
    fill(this.#who, namePlate(known))
    fill(this.#marks, this.#marksOf(panel, taken))
    fill(this.#text, state === "dropped" ? reason : text)
    fill(this.#facts, call ? `${duration(call.latency_ms)} · ${money(call.cost_usd)}` : "")
    this.#prefer.hidden = taken || state !== "done" || !this.#answer.usable || ["judge", "verifier"].includes(this.#seat.role)
    this.#prefer.setAttribute("aria-label", `Prefer the answer of ${expert}, seat ${number + 1}`)
  }

  #marksOf(panel, taken) {
    const votes = panel.votesFor(this.#seat)
    const score = panel.chosen?.scores?.[this.#seat.number]
    return [
      ROLES[this.#seat.role],
      this.#seat.state === "dropped" && "dropped",
      votes > 0 && `${votes} ${votes === 1 ? "vote" : "votes"}`,
      score !== undefined && `score ${score.toFixed(2)}`,
      taken && "taken",
    ].filter(Boolean).join(" · ")
  }

  // The conversation goes on with the preferred answer.
  async #pick() {
    const { decision } = this.#answer
    this.#answer.prefer(this.#seat)
    try {
      await this.#page.api.rate(decision.id, "underpowered", undefined, this.#seat.expert)
      this.#page.announcer.say(`The answer of ${this.#seat.expert} is in the conversation now.`)
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      this.#page.announcer.say(`The preference was not recorded: ${error.message}`)
    }
  }
}
