// The service's REST API, as much of it as the page needs.

import { ApiError } from "/static/js/api/api_error.js"
import { serverSentEvents } from "/static/js/api/server_sent_events.js"

export class Api {
  #keyRing
  #fetch

  constructor(keyRing, fetch = window.fetch.bind(window)) {
    this.#keyRing = keyRing
    this.#fetch = fetch
  }

  async models() {
    const response = await this.#request("/v1/models")
    return (await response.json()).data
  }

  async readiness() {
    const response = await this.#reach("/readyz", { cache: "no-store" })
    const report = await response.json().catch(() => ({}))
    return { ready: response.ok, status: report.status ?? "", detail: report.detail ?? "" }
  }

  // For operators: whoever may not see alarms, or has no key yet, sees none and is not asked for one.
  async alarms() {
    const response = await this.#reach("/v1/alarms", withKey({ cache: "no-store" }, this.#keyRing.key))
    return response.ok ? (await response.json()).data : []
  }

  // For pages that show a resource as it is.
  async get(path) {
    return (await this.#request(path, { cache: "no-store" })).json()
  }

  async send(method, path, body = {}) {
    const response = await this.#request(path, {
      method,
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    })
    return response.status === 204 ? null : response.json()
  }

  async rate(decisionId, verdict, comment, preferred) {
    await this.#post("/v1/feedback", { decision_id: decisionId, verdict, comment, preferred })
  }

  // What a person shows by turning to another answer. It is no rating: nobody waits for it, or is told that it failed.
  async turned(decisionId, source, preferred) {
    try {
      await this.#post("/v1/feedback", { decision_id: decisionId, source, preferred })
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
    }
  }

  async *streamAnswer({ model, messages, session, routing }, signal) {
    const body = { model, messages, routing, stream: true }
    const headers = { "x-session-id": session }
    const response = await this.#post("/v1/chat/completions", body, { headers, signal })

    for await (const data of eventsOf(response, signal)) {
      if (data === "[DONE]") return
      yield chunkIn(data)
    }
    throw ApiError.cutOff()
  }

  #post(path, body, { headers = {}, signal } = {}) {
    return this.#request(path, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
      signal,
    })
  }

  async #request(path, options = {}) {
    for (;;) {
      const key = this.#keyRing.key
      const response = await this.#reach(path, withKey(options, key))
      if (response.ok) return response

      const error = await ApiError.from(response)
      const mendable = error.status === 401 && await this.#keyRing.replace(key)
      if (!mendable) throw error
    }
  }

  async #reach(path, options) {
    try {
      return await this.#fetch(path, options)
    } catch (error) {
      throw translated(error, options.signal, ApiError.unreachable)
    }
  }
}

async function* eventsOf(response, signal) {
  try {
    yield* serverSentEvents(response.body)
  } catch (error) {
    throw translated(error, signal, ApiError.cutOff)
  }
}

function chunkIn(data) {
  const chunk = JSON.parse(data)
  if (chunk.error) throw new ApiError(chunk.error.message, { code: chunk.error.code ?? "" })
  return chunk
}

function withKey(options, key) {
  if (!key) return options
  return { ...options, headers: { ...options.headers, authorization: `Bearer ${key}` } }
}

// Browsers report every network failure as a TypeError.
function translated(error, signal, ours) {
  return error instanceof TypeError && !signal?.aborted ? ours() : error
}
