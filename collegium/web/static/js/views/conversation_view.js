// The conversation on the page: follows its models and keeps the newest words in sight.

import { ExchangeView } from "/static/js/views/exchange_view.js"
import { ScrollFollower } from "/static/js/views/scroll_follower.js"

export class ConversationView {
  #element
  #welcome
  #follower

  constructor({ element, welcome, conversation, page }) {
    this.#element = element
    this.#welcome = welcome
    this.#follower = new ScrollFollower(element)
    conversation.addEventListener("open", ({ detail }) => this.#add(new ExchangeView(detail, page)))
    conversation.addEventListener("clear", () => this.#clear())
  }

  #add(view) {
    this.#welcome.hidden = true
    this.#element.append(view.element)
    this.#follower.jump()
  }

  #clear() {
    this.#element.replaceChildren()
    this.#welcome.hidden = false
  }
}
