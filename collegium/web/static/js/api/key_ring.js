// The API key: remembered by the browser, asked for when the service refuses a request.

import { lasting } from "/static/js/lib/storage.js"

export class KeyRing {
  #ask
  #memory
  #asking = null

  constructor(ask, memory = lasting) {
    this.#ask = ask
    this.#memory = memory
  }

  get key() {
    return this.#memory.recall("api_key")
  }

  // Requests that fail together share one question.
  async replace(refused) {
    if (this.key !== refused) return true
    this.#asking ??= this.#askFor(refused).finally(() => { this.#asking = null })
    return this.#asking
  }

  async #askFor(refused) {
    if (refused) this.#memory.forget("api_key")
    const key = await this.#ask({ refused: Boolean(refused) })
    if (key) this.#memory.remember("api_key", key)
    return Boolean(key)
  }
}
