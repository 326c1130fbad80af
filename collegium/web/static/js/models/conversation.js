// The questions so far, and the session that the router knows them by.

import { randomId } from "/static/js/lib/ids.js"
import { Exchange } from "/static/js/models/exchange.js"

export class Conversation extends EventTarget {
  #exchanges = []
  session = randomId()

  get empty() {
    return this.#exchanges.length === 0
  }

  open(question) {
    const exchange = new Exchange(question)
    this.#exchanges.push(exchange)
    this.dispatchEvent(new CustomEvent("open", { detail: exchange }))
    return exchange
  }

  // A question whose answers all failed is left out: two questions in a row would puzzle an expert.
  messagesFor(exchange) {
    const earlier = this.#exchanges.slice(0, Math.max(0, this.#exchanges.indexOf(exchange)))
    return [
      ...earlier.flatMap(({ messages }) => messages),
      { role: "user", content: exchange.question },
    ]
  }

  clear() {
    this.#exchanges = []
    this.session = randomId()
    this.dispatchEvent(new Event("clear"))
  }
}
