// Change from one conversation to another; whatever is under way stops and is kept.

import { conversationFrom } from "/static/js/models/imported.js"

export class Desk {
  #library
  #keeper
  #asker
  #conversation

  constructor({ library, keeper, asker, conversation }) {
    this.#library = library
    this.#keeper = keeper
    this.#asker = asker
    this.#conversation = conversation
  }

  // At once, for the next question may come before the old ones are kept.
  async startAnew() {
    const kept = this.#leave()
    this.#conversation.clear()
    await kept
  }

  async open(id) {
    if (id === this.#conversation.session) return true
    await this.#leave()
    return this.#library.open(id)
  }

  // Before an earlier question is asked in other words.
  async branch(exchange) {
    await Promise.all([this.#leave(), this.#library.branch(exchange)])
  }

  async remove(id) {
    const current = id === this.#conversation.session
    if (current) await this.#leave()
    await this.#library.remove(id)
    if (current) this.#conversation.clear()
  }

  // Unreadable tells what is wrong with the file.
  async import(json) {
    const id = await this.#library.add(conversationFrom(json))
    return id !== null && this.open(id)
  }

  async #leave() {
    this.#asker.stop()
    await this.#keeper.flush()
  }
}
