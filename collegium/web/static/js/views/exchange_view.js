// One question and its answers side by side.

import { element } from "/static/js/lib/dom.js"
import { AnswerView } from "/static/js/views/answer_view.js"
import { QuestionView } from "/static/js/views/question_view.js"

export class ExchangeView {
  #exchange
  #page
  #views = new Map()
  #shownChoice = ""
  #answers = element("div", { class: "exchange__answers" })

  constructor(exchange, { page, number }) {
    this.#exchange = exchange
    this.#page = page
    this.element = element("section", { class: "exchange", "aria-label": `Question ${number}` },
      new QuestionView(exchange, page).element, this.#answers)
    exchange.addEventListener("answers", () => this.#showAnswers())
    exchange.addEventListener("progress", () => this.#showChosen())
    this.#showAnswers()
  }

  show() {
    for (const view of this.#views.values()) view.show()
  }

  #showAnswers() {
    const { answers } = this.#exchange
    for (const answer of answers) this.#viewOf(answer)
    for (const [answer, view] of this.#views) if (!answers.includes(answer)) this.#drop(answer, view)
    this.element.toggleAttribute("data-several", answers.length > 1)
    this.#showChosen()
  }

  #viewOf(answer) {
    if (this.#views.has(answer)) return
    const view = new AnswerView(answer, { exchange: this.#exchange, page: this.#page })
    this.#views.set(answer, view)
    this.#answers.append(view.element)
    if (this.element.isConnected) view.element.scrollIntoView({ block: "nearest" })
  }

  #drop(answer, view) {
    this.#views.delete(answer)
    view.element.remove()
  }

  // Choosing one answer changes what the others offer, so all are shown again when that changes.
  #showChosen() {
    const { chosen, answers } = this.#exchange
    const usable = answers.filter(answer => answer.usable).length
    const state = `${answers.indexOf(chosen)} of ${usable}`
    if (state === this.#shownChoice) return
    this.#shownChoice = state
    for (const [answer, view] of this.#views) {
      view.element.toggleAttribute("data-chosen", answer === chosen && usable > 1)
      view.show()
    }
  }
}
