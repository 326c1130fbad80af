// The questions so far, and the session that the router knows them by.

import { randomId } from "/static/js/lib/ids.js"
import { Exchange } from "/static/js/models/exchange.js"
import { titleOf } from "/static/js/models/titles.js"

export class Conversation extends EventTarget {
  #exchanges = []
  #named = null
  session = randomId()
  created = Date.now()

  get empty() {
    return this.#exchanges.length === 0
  }

  get exchanges() {
    return [...this.#exchanges]
  }

  // The name that a person gave it, else its first question.
  get title() {
    return this.#named ?? titleOf(this.#exchanges[0])
  }

  get named() {
    return this.#named
  }

  name(title) {
    this.#named = title || null
    this.#changed()
  }

  open(question, attachments = []) {
    const exchange = new Exchange(question, attachments)
    this.#add(exchange)
    this.#changed()
    return exchange
  }

  // A question whose answers all failed is left out: two questions in a row would puzzle an expert.
  messagesFor(exchange) {
    const earlier = this.#exchanges.slice(0, Math.max(0, this.#exchanges.indexOf(exchange)))
    return [...earlier.flatMap(({ messages }) => messages), exchange.message]
  }

  clear() {
    this.restore({ session: randomId(), created: Date.now(), exchanges: [] })
  }

  // Become another conversation.
  restore({ session, created, named = null, exchanges }) {
    Object.assign(this, { session, created })
    this.#named = named
    this.#exchanges = []
    this.dispatchEvent(new Event("clear"))
    for (const exchange of exchanges) this.#add(exchange)
  }

  #add(exchange) {
    this.#exchanges.push(exchange)
    for (const event of ["answers", "progress"]) exchange.addEventListener(event, () => this.#progressed(exchange))
    this.dispatchEvent(new CustomEvent("open", { detail: exchange }))
  }

  // An answer that was stopped may still end after another conversation took its place.
  #progressed(exchange) {
    if (this.#exchanges.includes(exchange)) this.#changed()
  }

  #changed() {
    this.dispatchEvent(new Event("change"))
  }
}
