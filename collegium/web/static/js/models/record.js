// A conversation as plain values, to be kept or exported, and back.

import { ApiError } from "/static/js/api/api_error.js"
import { Answer } from "/static/js/models/answer.js"
import { Exchange } from "/static/js/models/exchange.js"
import { Panel } from "/static/js/models/panel.js"

const KEPT = ["requested", "text", "reasoning", "by", "tried", "decision", "outcome", "cut", "rating"]
const LEFT = { message: "The page was left before the answer came.", code: "left" }

export function recordOf({ session, created, named, exchanges }) {
  return { session, created, named, exchanges: exchanges.map(exchangeRecord) }
}

// A copy of what was asked before an exchange, as a conversation of its own.
export function recordBefore(conversation, exchange) {
  const record = recordOf(conversation)
  return record.exchanges.slice(0, conversation.exchanges.indexOf(exchange))
}

export function exchangesFrom(records) {
  return records.map(exchangeFrom)
}

function exchangeRecord({ question, attachments, answers, chosen }) {
  const picked = answers.indexOf(chosen)
  return { question, attachments, picked: picked < 0 ? null : picked, answers: answers.map(answerRecord) }
}

function answerRecord(answer) {
  const { state, error, willRetry, panel, preferred } = answer
  const kept = Object.fromEntries(KEPT.map(name => [name, answer[name]]))
  return {
    ...kept,
    state: willRetry ? "waiting" : state,
    error: error && { message: error.message, code: error.code, status: error.status },
    panel: panel && { seats: panel.seats.map(seat => ({ ...seat })), chosen: panel.chosen },
    preferred: preferred?.number ?? null,
  }
}

function exchangeFrom({ question, attachments, picked, answers }) {
  const exchange = new Exchange(question, attachments)
  for (const record of answers) exchange.add(answerFrom(record))
  if (picked !== null) exchange.choose(exchange.answers[picked])
  return exchange
}

// An answer that was under way when the page was left has stopped.
function answerFrom({ state, error, panel, preferred, ...fields }) {
  const answer = new Answer(fields.requested)
  const underWay = ["waiting", "streaming"].includes(state)
  const shown = panel && Panel.from(panel)
  answer.restore({
    ...fields,
    state: underWay ? endOf(fields) : state,
    error: problem(underWay && endOf(fields) === "failed" ? LEFT : error),
    panel: shown,
    preferred: shown?.find(preferred) ?? null,
  })
  return answer
}

function endOf({ text }) {
  return text.trim() ? "stopped" : "failed"
}

function problem(error) {
  return error && new ApiError(error.message, error)
}
