// Conversations with something in them, for the tests of what keeps them.

import { ApiError } from "/static/js/api/api_error.js"
import { Answer } from "/static/js/models/answer.js"
import { Conversation } from "/static/js/models/conversation.js"
import { words } from "./streams.mjs"

export const IMAGE = { kind: "image", name: "a.png", alt: "a cat", url: "data:image/png;base64,AAAA" }
export const DECISION = {
  id: "dec_1", expert: "sql", policy: "quality", reason: "It is the best.", confidence: 0.9, ood_score: 0.1, overhead_ms: 1,
  application: null, skills: { sql: 1 },
  forecasts: [{ expert: "sql", quality: 0.9, cost_usd: 0, latency_ms: 1, energy_j: null, output_tokens: 3, wait_ms: 0, feasible: true, note: "" }],
}

export function answered(conversation, question, text, { attachments = [], decision = DECISION } = {}) {
  const exchange = conversation.open(question, attachments)
  add(exchange, text, decision)
  return exchange
}

export function add(exchange, text, decision = DECISION) {
  const answer = new Answer("auto")
  exchange.add(answer)
  answer.receive({ ...words(text), collegium: { decision } })
  answer.finish()
  return answer
}

export function failed(exchange) {
  const answer = new Answer("sql")
  exchange.add(answer)
  answer.fail(new ApiError("It broke.", { code: "expert_unavailable", status: 503 }))
  return answer
}

export function conversation() {
  const made = new Conversation()
  const first = answered(made, "What is it?", "A **cat**.", { attachments: [IMAGE] })
  first.choose(add(first, "A dog."))
  failed(made.open("And now?"))
  return made
}
