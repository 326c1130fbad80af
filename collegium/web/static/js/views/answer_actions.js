// What a person can do with an answer: copy, rate, ask another expert, carry on with it.

import { element, fill, icon } from "/static/js/lib/dom.js"
import { Alternatives } from "/static/js/views/alternatives.js"
import { copyButton } from "/static/js/views/copy_button.js"
import { Rating } from "/static/js/views/rating.js"

export class AnswerActions {
  #answer
  #exchange
  #api
  #page
  #rating
  #alternatives
  #copy
  #bar
  #another = element("button", { class: "button button--quiet", type: "button", "aria-expanded": "false", onclick: () => this.#toggle() },
    icon("another"), "Ask another expert")
  #again = element("button", { class: "button button--quiet", type: "button", title: "Ask again", onclick: () => this.#repeat() },
    icon("retry"), "Ask again")
  #choose = element("button", { class: "button button--quiet button--choose", type: "button", onclick: () => this.#prefer() })

  constructor(answer, { exchange, page }) {
    this.#answer = answer
    this.#exchange = exchange
    this.#api = page.api
    this.#page = page
    this.#rating = new Rating(answer, page)
    this.#alternatives = new Alternatives(page.roster, name => this.#ask(name))
    this.#another.setAttribute("aria-controls", this.#alternatives.element.id)
    this.#copy = copyButton(() => answer.text, page.announcer)
    this.#bar = element("div", { class: "answer__actions", role: "group", "aria-label": "This answer" },
      this.#copy, ...this.#rating.buttons, this.#again, this.#another, this.#choose)
    this.elements = [this.#bar, this.#alternatives.element, this.#rating.element]
  }

  show() {
    const { finished, usable } = this.#answer
    this.#bar.hidden = !finished
    this.#copy.hidden = !usable
    this.#again.hidden = !usable // what failed has its own button
    this.#rating.show()
    this.#showChoice(usable && this.#exchange.answers.filter(answer => answer.usable).length > 1)
  }

  #showChoice(several) {
    const chosen = this.#exchange.chosen === this.#answer
    this.#choose.hidden = !several
    this.#choose.setAttribute("aria-pressed", String(chosen))
    fill(this.#choose, chosen && icon("check"), chosen ? "In the conversation" : "Use this one")
  }

  #toggle() {
    this.#another.setAttribute("aria-expanded", String(this.#alternatives.toggle(this.#answer)))
  }

  #repeat() {
    this.#page.ask(this.#exchange, this.#answer.requested)
  }

  #ask(name) {
    this.#toggle()
    this.#another.focus()
    this.#page.ask(this.#exchange, name)
    this.#tell(this.#answer, "ask_another")
  }

  // The answer that was in the conversation so far is the one that somebody did better than.
  #prefer() {
    const before = this.#exchange.chosen
    this.#exchange.choose(this.#answer)
    if (before && before !== this.#answer) this.#tell(before, "preferred", this.#answer.expert ?? undefined)
  }

  #tell({ decision }, source, preferred) {
    if (decision) this.#api.turned(decision.id, source, preferred)
  }
}
