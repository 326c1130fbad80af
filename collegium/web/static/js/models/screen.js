// What the console shows now: loads a page's data, again from time to time, and tells what changed.

import { ApiError } from "/static/js/api/api_error.js"

export class Screen extends EventTarget {
  #load = null
  #turn = 0
  #seen = null
  data = null
  error = null
  loading = false

  // Go to a page; its data replaces what was there.
  async open(load) {
    this.#load = load
    Object.assign(this, { data: null, error: null, loading: true })
    this.#seen = null
    this.#tell()
    await this.refresh()
  }

  // What comes late for a page that was left is dropped; what is as it was is not told.
  async refresh() {
    const turn = ++this.#turn
    try {
      const data = await this.#load()
      if (turn !== this.#turn) return
      const seen = JSON.stringify(data)
      if (seen === this.#seen && !this.error) return
      this.#seen = seen
      Object.assign(this, { data, error: null, loading: false })
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      if (turn !== this.#turn) return
      Object.assign(this, { error, loading: false })
    }
    this.#tell()
  }

  #tell() {
    this.dispatchEvent(new Event("change"))
  }
}
