// One expert's answer to one question, from the request to the rating.

import { ApiError } from "/static/js/api/api_error.js"
import { Panel } from "/static/js/models/panel.js"

export class Answer extends EventTarget {
  #controller = new AbortController()

  constructor(requested) {
    super()
    this.requested = requested
    this.clear()
  }

  clear() {
    Object.assign(this, {
      state: "waiting", text: "", reasoning: "", by: null, tried: [], decision: null, outcome: null, cut: false,
      error: null, willRetry: false, rating: null, panel: null, preferred: null,
    })
    this.#changed()
  }

  get signal() {
    return this.#controller.signal
  }

  // Who answers, which another expert may do where the chosen one failed.
  get expert() {
    return this.by ?? this.decision?.expert ?? null
  }

  get finished() {
    return ["done", "stopped", "failed"].includes(this.state) && !this.willRetry
  }

  get usable() {
    return ["done", "stopped"].includes(this.state) && this.text.trim() !== ""
  }

  receive(chunk) {
    this.decision ??= chunk.collegium?.decision ?? null
    this.by = chunk.collegium?.expert ?? this.by
    this.tried = chunk.collegium?.tried ?? this.tried
    this.outcome = chunk.collegium?.outcome ?? this.outcome
    if (chunk.collegium?.panel) this.#hear(chunk.collegium.panel)
    const [choice] = chunk.choices ?? []
    this.text += choice?.delta?.content ?? ""
    this.reasoning += choice?.delta?.reasoning_content ?? choice?.delta?.reasoning ?? ""
    this.cut ||= choice?.finish_reason === "length"
    this.state = "streaming"
    this.#changed()
  }

  finish() {
    if (!this.text.trim()) return this.fail(new ApiError("The expert had nothing to say.", { code: "empty" }))
    this.state = "done"
    this.#changed()
  }

  fail(error, { willRetry = false } = {}) {
    Object.assign(this, { state: "failed", error, willRetry })
    this.#changed()
  }

  // As it was kept, or as a file tells it.
  restore(fields) {
    Object.assign(this, fields)
    this.#changed()
  }

  abort() {
    this.#controller.abort()
  }

  stopped() {
    this.state = this.error ? "failed" : "stopped"
    this.willRetry = false
    this.#changed()
  }

  // A person may like another member's answer better than the panel's.
  prefer(seat) {
    Object.assign(this, { preferred: seat, text: seat.text })
    this.#changed()
  }

  rated(rating) {
    this.rating = rating
    this.#changed()
  }

  #hear(told) {
    this.panel ??= new Panel()
    this.panel.receive(told)
  }

  #changed() {
    this.dispatchEvent(new Event("change"))
  }
}
