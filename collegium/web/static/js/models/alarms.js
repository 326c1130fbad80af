// The open alarms, as far as this page's key may see them: they are for the operator.

import { ApiError } from "/static/js/api/api_error.js"
import { pause } from "/static/js/lib/wait.js"

const EVERY_MS = 30_000

export class Alarms extends EventTarget {
  #api
  open = []

  constructor(api) {
    super()
    this.#api = api
  }

  async watch() {
    for (;;) {
      await this.check()
      await pause(EVERY_MS)
    }
  }

  async check() {
    try {
      this.#become(await this.#api.alarms())
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
    }
  }

  #become(open) {
    const same = open.length === this.open.length && open.every(({ id }, i) => id === this.open[i].id)
    if (same) return
    this.open = open
    this.dispatchEvent(new Event("change"))
  }
}
