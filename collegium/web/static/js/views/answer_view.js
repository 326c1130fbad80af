// One answer: who gives it, its text, what became of it, and what a person can do with it.

import { element, fill } from "/static/js/lib/dom.js"
import { Pacer } from "/static/js/lib/pacer.js"
import { Prose } from "/static/js/markdown/prose.js"
import { AnswerActions } from "/static/js/views/answer_actions.js"
import { AnswerHead } from "/static/js/views/answer_head.js"
import { PanelView } from "/static/js/views/panel_view.js"
import { Failure } from "/static/js/views/failure.js"
import { Thoughts } from "/static/js/views/thoughts.js"
import { tint } from "/static/js/views/tint.js"
import { WhyPanel } from "/static/js/views/why_panel.js"

const NOTES = {
  stopped: "Stopped.",
  cut: "The answer reached its longest length.",
}

export class AnswerView {
  #answer
  #roster
  #head
  #why
  #actions
  #failure
  #panel
  #thoughts = new Thoughts()
  #prose
  #note = element("p", { class: "answer__note" })
  #pacer = new Pacer(() => this.show()) // many chunks arrive between two frames

  constructor(answer, { exchange, page }) {
    this.#answer = answer
    this.#roster = page.roster
    this.#prose = new Prose(page)
    this.#why = new WhyPanel(page.roster)
    this.#head = new AnswerHead(answer, { roster: page.roster, why: this.#why })
    this.#panel = new PanelView(answer, page)
    this.#failure = new Failure(page.pool, () => page.retry(exchange, answer))
    this.#actions = new AnswerActions(answer, { exchange, page })
    this.element = element("article", { class: "answer", tabindex: "-1" },
      this.#head.element, this.#why.element, this.#panel.element, this.#thoughts.element,
      this.#prose.element, this.#note,
      this.#failure.element, ...this.#actions.elements)
    answer.addEventListener("change", () => this.#pacer.soon())
    this.show()
  }

  show() {
    const { state, expert, text, outcome, decision, tried } = this.#answer
    this.element.dataset.state = state
    this.element.setAttribute("aria-label", `Answer from ${expert ?? this.#answer.requested}`)
    this.element.setAttribute("aria-busy", String(!this.#answer.finished))
    tint(this.element, this.#roster.find(expert))
    this.#head.show()
    if (decision) this.#why.show({ decision, outcome, expert, tried })
    this.#panel.show()
    this.#thoughts.show(this.#answer)
    this.#prose.show(text, { whole: this.#answer.finished })
    this.#failure.show(this.#answer)
    this.#actions.show()
    this.#showNote()
  }

  #showNote() {
    const { state, cut } = this.#answer
    const note = NOTES[state] ?? (state === "done" && cut ? NOTES.cut : "")
    this.#note.hidden = !note
    fill(this.#note, note)
  }
}
