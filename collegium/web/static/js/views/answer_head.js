// The top line of an answer: the expert, the bench of candidates, how long it took.

import { element, fill, icon } from "/static/js/lib/dom.js"
import { duration, money, whole } from "/static/js/lib/format.js"
import { bench } from "/static/js/views/bench.js"
import { namePlate } from "/static/js/views/name_plate.js"

export class AnswerHead {
  #answer
  #roster
  #why
  #shown = {}
  #who = element("div", { class: "answer__who" })
  #facts = element("p", { class: "answer__facts" })
  #button

  constructor(answer, { roster, why }) {
    this.#answer = answer
    this.#roster = roster
    this.#why = why
    this.#button = element("button", { class: "button button--why", type: "button", "aria-expanded": "false", "aria-controls": why.id, onclick: () => this.#toggle() })
    this.element = element("header", { class: "answer__head" }, this.#who, this.#button, this.#facts)
    this.show()
  }

  show() {
    const { decision, outcome, expert } = this.#answer
    const same = this.#shown.expert === expert && this.#shown.experts === this.#roster.experts
    if (!expert || !same) this.#showExpert(expert, decision)
    fill(this.#facts, outcome ? factsOf(outcome) : "")
  }

  #showExpert(expert, decision) {
    this.#shown = { expert, experts: this.#roster.experts }
    this.#button.hidden = !decision
    fill(this.#who, expert ? namePlate(this.#roster.find(expert)) : this.#expected())
    if (decision) fill(this.#button, bench(decision, this.#roster), "Why?", icon("chevron"))
    if (decision) this.#button.setAttribute("aria-label", `Why ${expert}?`)
  }

  #expected() {
    const { requested, state, willRetry } = this.#answer
    const named = this.#roster.experts.some(({ name }) => name === requested)
    if (named) return namePlate(this.#roster.find(requested))
    if (willRetry) return considering("Waiting for the experts")
    return state === "waiting" ? considering("Waiting for an expert") : "No answer"
  }

  #toggle() {
    this.#button.setAttribute("aria-expanded", String(this.#why.toggle()))
  }
}

function factsOf({ latency_ms: latency, cost_usd: cost, completion_tokens: tokens }) {
  const facts = [duration(latency), money(cost)]
  if (tokens) facts.push(tokens === 1 ? "1 token" : `${whole(tokens)} tokens`)
  return facts.join(" · ")
}

function considering(words) {
  const dots = Array.from({ length: 5 }, () => element("span", {}))
  return element("span", { class: "routing" }, element("span", { class: "routing__dots", "aria-hidden": "true" }, ...dots), words)
}
