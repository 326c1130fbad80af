// Whether the pool can answer: asked often while it can't, seldom while it can.

import { ApiError } from "/static/js/api/api_error.js"
import { pause } from "/static/js/lib/wait.js"

const OFTEN_MS = 1_500
const SELDOM_MS = 20_000

export class Pool extends EventTarget {
  #api
  #asking = null
  state = "unknown"
  detail = ""

  constructor(api) {
    super()
    this.#api = api
  }

  async watch() {
    for (;;) {
      await this.check()
      await pause(this.state === "ready" ? SELDOM_MS : OFTEN_MS)
    }
  }

  check() {
    this.#asking ??= this.#ask().finally(() => { this.#asking = null })
    return this.#asking
  }

  async untilReady(signal) {
    for (;;) {
      await this.check()
      if (this.state === "ready") return
      await pause(OFTEN_MS, signal)
    }
  }

  async #ask() {
    try {
      const { ready, status, detail } = await this.#api.readiness()
      this.#become(ready ? "ready" : status || "starting", detail)
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      this.#become("unreachable", error.message)
    }
  }

  #become(state, detail) {
    if (state === this.state && detail === this.detail) return
    Object.assign(this, { state, detail })
    this.dispatchEvent(new Event("change"))
  }
}
