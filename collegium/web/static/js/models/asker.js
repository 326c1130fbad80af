// Ask an expert: stream its answer, ask again by itself while the pool starts, stop on request.

import { ApiError } from "/static/js/api/api_error.js"
import { pause } from "/static/js/lib/wait.js"
import { Answer } from "/static/js/models/answer.js"

const ATTEMPTS = 6

export class Asker extends EventTarget {
  #api
  #pool
  #roster
  #conversation
  #running = new Set()

  constructor({ api, pool, roster, conversation }) {
    super()
    this.#api = api
    this.#pool = pool
    this.#roster = roster
    this.#conversation = conversation
  }

  get busy() {
    return this.#running.size > 0
  }

  ask(exchange, model) {
    const answer = new Answer(model)
    exchange.add(answer)
    return this.#run(exchange, answer)
  }

  retry(exchange, failed) {
    failed.abort()
    const answer = new Answer(failed.requested)
    exchange.replace(failed, answer)
    return this.#run(exchange, answer)
  }

  stop() {
    for (const answer of this.#running) answer.abort()
  }

  async #run(exchange, answer) {
    this.#start(answer)
    try {
      await this.#insist(exchange, answer)
    } catch (error) {
      if (answer.signal.aborted) return answer.stopped()
      answer.fail(ApiError.unreadable())
      throw error
    } finally {
      this.#end(answer)
    }
  }

  async #insist(exchange, answer) {
    for (let left = ATTEMPTS - 1; left >= 0; left--) {
      const error = await this.#attempt(exchange, answer)
      if (!error) return
      answer.fail(error, { willRetry: error.passes && left > 0 })
      if (!answer.willRetry) return
      await pause((error.retryAfter ?? 1) * 1000, answer.signal)
      await this.#pool.untilReady(answer.signal)
      answer.clear()
    }
  }

  async #attempt(exchange, answer) {
    const { session } = this.#conversation
    const messages = this.#conversation.messagesFor(exchange)
    const model = answer.requested
    const routing = this.#roster.isPanel(model) ? { panel: { show_members: true } } : undefined
    try {
      for await (const chunk of this.#api.streamAnswer({ model, messages, session, routing }, answer.signal)) {
        answer.receive(chunk)
      }
      answer.finish()
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      this.#pool.check()
      return error
    }
  }

  #start(answer) {
    this.#running.add(answer)
    this.dispatchEvent(new Event("change"))
  }

  #end(answer) {
    this.#running.delete(answer)
    this.dispatchEvent(new Event("change"))
    this.dispatchEvent(new CustomEvent("end", { detail: answer }))
  }
}
