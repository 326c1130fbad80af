// A conversation out of a file: only what the page knows, and every value of the kind that it must be.

import { isImageAddress, LONGEST_TEXT, MOST_ATTACHMENTS } from "/static/js/models/attachment.js"
import { list, number, numbers, oneOf, optional, record, text, truth, Unreadable } from "/static/js/models/checked.js"

export const FORMAT = "collegium.conversation"
export const VERSION = 1
export const LARGEST_FILE = 50 * 2 ** 20

const SHORT = { most: 1_000 }
const VERDICTS = ["good_fit", "underpowered", "failed"]
const STATES = ["waiting", "streaming", "done", "stopped", "failed"]
const MEASURES = ["quality", "cost_usd", "latency_ms", "energy_j", "output_tokens", "wait_ms"]
const FACTS = ["latency_ms", "cost_usd", "energy_j", "prompt_tokens", "completion_tokens", "waited_ms"]

export function conversationFrom(json) {
  const { format, version, ...rest } = record(parsed(json), "The file", {
    format: (value, place) => oneOf(value, place, [FORMAT]),
    version: (value, place) => oneOf(value, place, [VERSION]),
    title: (value, place) => text(value, place, SHORT),
    named: (value, place) => optional(text, value, place, SHORT),
    exchanges: (value, place) => list(value, place, exchange),
  })
  if (rest.exchanges.length === 0) throw new Unreadable("The file holds no question")
  return rest
}

function parsed(json) {
  try {
    return JSON.parse(json)
  } catch {
    throw new Unreadable("The file is not JSON")
  }
}

function exchange(value, place) {
  const read = record(value, place, {
    question: text,
    attachments: (each, where) => list(each ?? [], where, attachment, { most: MOST_ATTACHMENTS }),
    answers: (each, where) => list(each, where, answer, { most: 100 }),
    picked: (each, where) => optional(number, each, where),
  })
  if (read.picked !== null && !read.answers[read.picked]) throw new Unreadable(`${place}.picked names no answer`)
  return read
}

function attachment(value, place) {
  const { kind } = record(value, place, { kind: (each, where) => oneOf(each, where, ["image", "text"]) })
  const name = (each, where) => text(each, where, SHORT)
  const fields = kind === "text"
    ? { name, text: (each, where) => text(each, where, { most: LONGEST_TEXT }) }
    : { name, alt: (each, where) => text(each ?? "", where, SHORT), url: image }
  return { kind, ...record(value, place, fields) }
}

function image(value, place) {
  if (!isImageAddress(value)) throw new Unreadable(`${place} is not the data of a PNG, JPEG, WebP or GIF`)
  return value
}

function answer(value, place) {
  return {
    ...record(value, place, {
      requested: (each, where) => text(each, where, SHORT),
      state: (each, where) => oneOf(each, where, STATES),
      text,
      reasoning: (each, where) => text(each ?? "", where),
      by: (each, where) => optional(text, each, where, SHORT),
      tried: (each, where) => list(each ?? [], where, attempt),
      cut: (each, where) => truth(each ?? false, where),
      decision: (each, where) => optional(decision, each, where),
      outcome: (each, where) => optional(measures(FACTS), each, where),
      error: (each, where) => optional(problem, each, where),
      rating: (each, where) => optional(rating, each, where),
    }),
    panel: null,
    preferred: null,
  }
}

function attempt(value, place) {
  const short = (each, where) => text(each, where, SHORT)
  return record(value, place, { expert: short, error: short })
}

function decision(value, place) {
  const short = (each, where) => text(each, where, SHORT)
  return record(value, place, {
    id: short, expert: short, policy: short,
    reason: (each, where) => text(each, where, { most: 5_000 }),
    application: (each, where) => optional(text, each, where, SHORT),
    confidence: (each, where) => optional(number, each, where),
    ood_score: (each, where) => optional(number, each, where),
    overhead_ms: (each, where) => optional(number, each, where),
    skills: (each, where) => numbers(each ?? {}, where),
    forecasts: (each, where) => list(each, where, forecast),
  })
}

function forecast(value, place) {
  return {
    ...record(value, place, {
      expert: (each, where) => text(each, where, SHORT),
      feasible: (each, where) => truth(each ?? true, where),
      note: (each, where) => text(each ?? "", where, SHORT),
    }),
    ...measures(MEASURES)(value, place),
  }
}

function measures(names) {
  const readers = names.map(name => [name, (each, where) => optional(number, each, where)])
  return (value, place) => record(value, place, Object.fromEntries(readers))
}

function problem(value, place) {
  return record(value, place, {
    message: text,
    code: (each, where) => text(each ?? "", where, SHORT),
    status: (each, where) => number(each ?? 0, where),
  })
}

function rating(value, place) {
  const { verdict } = record(value, place, { verdict: (each, where) => optional(oneOf, each, where, VERDICTS) })
  return verdict && { verdict, complete: true }
}
