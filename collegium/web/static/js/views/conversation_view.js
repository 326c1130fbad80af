// The conversation on the page: follows its models and keeps the newest words in sight.

import { ExchangeView } from "/static/js/views/exchange_view.js"
import { ScrollFollower } from "/static/js/views/scroll_follower.js"

export class ConversationView {
  #element
  #welcome
  #follower
  #views = []

  constructor({ element, welcome, conversation, page }) {
    this.#element = element
    this.#welcome = welcome
    this.#follower = new ScrollFollower(element)
    conversation.addEventListener("open", ({ detail }) => this.#add(detail, page))
    conversation.addEventListener("clear", () => this.#clear())
    page.roster.addEventListener("change", () => { for (const view of this.#views) view.show() })
  }

  #add(exchange, page) {
    const view = new ExchangeView(exchange, { page, number: this.#element.children.length + 1 })
    this.#welcome.hidden = true
    this.#views.push(view)
    this.#element.append(view.element)
    this.#follower.jump()
  }

  #clear() {
    this.#views = []
    this.#element.replaceChildren()
    this.#welcome.hidden = false
  }
}
