// Thumbs up or down; after a thumb down, room for how bad it was and a word about it.

import { element, fill, icon, visuallyHidden } from "/static/js/lib/dom.js"
import { ApiError } from "/static/js/api/api_error.js"
import { ratingDetail } from "/static/js/views/rating_detail.js"

const THANKS = {
  good_fit: "Rated: a good fit.",
  underpowered: "Rated: too weak for this.",
  failed: "Rated: failed.",
}

export class Rating {
  #answer
  #api
  #announcer
  #up = thumb("up", "Good answer", () => this.#rate("good_fit"))
  #down = thumb("down", "Poor answer", () => this.#rate("underpowered"))
  #note = element("p", { class: "rating__note" })
  #detail = ratingDetail((verdict, comment) => this.#rate(verdict, comment))

  element = element("div", { class: "rating" }, this.#note, this.#detail)
  buttons = [this.#up, this.#down]

  constructor(answer, { api, announcer }) {
    this.#answer = answer
    this.#api = api
    this.#announcer = announcer
    this.show()
  }

  show() {
    const { decision, rating } = this.#answer
    for (const button of this.buttons) button.hidden = !decision
    press(this.#up, rating?.verdict === "good_fit")
    press(this.#down, ["underpowered", "failed"].includes(rating?.verdict))
    this.#detail.hidden = !rating || rating.verdict === "good_fit" || rating.complete
    fill(this.#note, rating ? rating.problem ?? THANKS[rating.verdict] : "")
    this.element.hidden = !rating
  }

  async #rate(verdict, comment) {
    const complete = comment !== undefined
    try {
      await this.#api.rate(this.#answer.decision.id, verdict, comment || undefined)
      this.#answer.rated({ verdict, complete })
      this.#announcer.say(THANKS[verdict])
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      this.#refused(error)
    }
  }

  #refused({ message }) {
    const problem = `The rating was not recorded: ${message}`
    this.#answer.rated({ ...this.#answer.rating, problem, complete: true })
    this.#announcer.say(problem)
  }
}

function thumb(name, label, onclick) {
  return element("button", { class: "button button--quiet", type: "button", title: label, onclick },
    icon(name), visuallyHidden(label))
}

function press(button, pressed) {
  button.setAttribute("aria-pressed", String(pressed))
}
