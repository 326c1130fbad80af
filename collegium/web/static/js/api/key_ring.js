// The API key: remembered by the browser, asked for when the service refuses a request.

import { forget, recall, remember } from "/static/js/lib/storage.js"

export class KeyRing {
  #ask
  #asking = null

  constructor(ask) {
    this.#ask = ask
  }

  get key() {
    return recall("api_key")
  }

  // Requests that fail together share one question.
  async replace(refused) {
    if (this.key !== refused) return true
    this.#asking ??= this.#askFor(refused).finally(() => { this.#asking = null })
    return this.#asking
  }

  async #askFor(refused) {
    if (refused) forget("api_key")
    const key = await this.#ask({ refused: Boolean(refused) })
    if (key) remember("api_key", key)
    return Boolean(key)
  }
}
