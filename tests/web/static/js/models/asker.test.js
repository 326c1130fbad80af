import assert from "node:assert/strict"
import { test } from "node:test"

import { ApiError } from "/static/js/api/api_error.js"
import { Asker } from "/static/js/models/asker.js"
import { Conversation } from "/static/js/models/conversation.js"
import { withoutWaiting } from "../../clock.mjs"
import { words } from "../../streams.mjs"

const STARTING = new ApiError("starting", { status: 503, retryAfter: 3 })

// An asker whose service gives these answers one after the other: chunks, and errors among them.
function asker(...answers) {
  const seen = { requests: [], checks: 0, events: [] }
  const api = {
    async *streamAnswer(request, signal) {
      seen.requests.push({ ...request, signal })
      for (const part of answers.shift() ?? []) {
        if (part instanceof Error) throw part
        if (part === "wait") await untilAborted(signal)
        else yield part
      }
    },
  }
  const pool = { check: () => seen.checks++, untilReady: async signal => signal.throwIfAborted() }
  const roster = { isPanel: name => name === "collegium/vote" }
  const conversation = new Conversation()
  const made = new Asker({ api, pool, roster, conversation })
  for (const name of ["change", "end"]) made.addEventListener(name, event => seen.events.push(event))
  return { asker: made, conversation, seen }
}

function untilAborted(signal) {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason)
    signal.addEventListener("abort", () => reject(signal.reason))
  })
}

test("a question is asked of a model, with what was said before, and answered", async () => {
  const { asker: made, conversation, seen } = asker([words("Hel"), words("lo")], [words("Bye")])
  const first = conversation.open("Hi")
  await made.ask(first, "auto")
  await made.ask(conversation.open("And?"), "sql")

  assert.deepEqual([first.chosen.state, first.chosen.text], ["done", "Hello"])
  const [, { model, messages, session, routing }] = seen.requests
  assert.deepEqual({ model, messages, session, routing }, {
    model: "sql",
    messages: [{ role: "user", content: "Hi" }, { role: "assistant", content: "Hello" }, { role: "user", content: "And?" }],
    session: conversation.session,
    routing: undefined,
  })
})

test("of a panel its members are shown", async () => {
  const { asker: made, conversation, seen } = asker([words("4")])
  await made.ask(conversation.open("2 + 2?"), "collegium/vote")
  assert.deepEqual(seen.requests[0].routing, { panel: { show_members: true } })
})

test("it is busy while it asks, and tells when it starts and ends", async () => {
  const { asker: made, conversation, seen } = asker([words("Hello")])
  const asking = made.ask(conversation.open("Hi"), "auto")
  assert.equal(made.busy, true)
  await asking
  assert.equal(made.busy, false)
  assert.deepEqual(seen.events.map(({ type }) => type), ["change", "change", "end"])
  assert.equal(seen.events.at(-1).detail.text, "Hello")
})

test("while the pool starts it asks again, after the time that the service says", async () => {
  const { asker: made, conversation, seen } = asker([STARTING], [new ApiError("starting", { status: 503 })], [words("Hello")])
  const exchange = conversation.open("Hi")
  const waits = await withoutWaiting(() => made.ask(exchange, "auto"))
  assert.deepEqual(waits, [3000, 1000])
  assert.deepEqual([exchange.chosen.text, exchange.chosen.error, seen.requests.length, seen.checks], ["Hello", null, 3, 2])
})

test("it gives up after six times", async () => {
  const { asker: made, conversation, seen } = asker(...Array(9).fill([STARTING]))
  const exchange = conversation.open("Hi")
  await withoutWaiting(() => made.ask(exchange, "auto"))
  const [{ state, willRetry, finished, error }] = exchange.answers
  assert.deepEqual([state, willRetry, finished, error, seen.requests.length], ["failed", false, true, STARTING, 6])
})

test("other errors are told at once, with the words that came before", async () => {
  const error = new ApiError("The engine died.", { code: "expert_unavailable" })
  const { asker: made, conversation, seen } = asker([words("Hel"), error])
  const exchange = conversation.open("Hi")
  await made.ask(exchange, "auto")
  const [answer] = exchange.answers
  assert.deepEqual([answer.state, answer.text, answer.error, seen.requests.length], ["failed", "Hel", error, 1])
  assert.equal(exchange.chosen, null)
})

test("a bug is shown as one, and not swallowed", async () => {
  const { asker: made, conversation } = asker([words("Hel"), new SyntaxError("Unexpected token")])
  const exchange = conversation.open("Hi")
  await assert.rejects(made.ask(exchange, "auto"), SyntaxError)
  assert.deepEqual([exchange.answers[0].error.code, made.busy], ["unreadable", false])
})

test("a person stops it in mid-stream and keeps the words", async () => {
  const { asker: made, conversation } = asker([words("Hel"), "wait"])
  const exchange = conversation.open("Hi")
  const asking = made.ask(exchange, "auto")
  exchange.answers[0].addEventListener("change", () => made.stop(), { once: true })
  await asking
  assert.deepEqual([exchange.answers[0].state, exchange.chosen.text, made.busy], ["stopped", "Hel", false])
})

test("a person stops it while it waits for the pool: it is not asked again", async () => {
  const { asker: made, conversation, seen } = asker([STARTING], [words("Hello")])
  const exchange = conversation.open("Hi")
  const asking = made.ask(exchange, "auto")
  exchange.answers[0].addEventListener("change", () => made.stop(), { once: true })
  await asking
  const [{ state, finished, willRetry }] = exchange.answers
  assert.deepEqual([state, finished, willRetry, seen.requests.length], ["failed", true, false, 1])
})

test("to stop is to stop all that is asked", async () => {
  const { asker: made, conversation } = asker(["wait"], ["wait"])
  const exchange = conversation.open("Hi")
  const asking = [made.ask(exchange, "auto"), made.ask(exchange, "sql")]
  made.stop()
  await Promise.all(asking)
  assert.deepEqual(exchange.answers.map(({ state }) => state), ["stopped", "stopped"])
})

test("a retry asks the same model, in the place of what failed", async () => {
  const { asker: made, conversation, seen } = asker([ApiError.unreachable()], [words("Hello")])
  const exchange = conversation.open("Hi")
  await made.ask(exchange, "sql")
  const [failed] = exchange.answers
  await made.retry(exchange, failed)
  assert.deepEqual(exchange.answers.map(({ text }) => text), ["Hello"])
  assert.deepEqual(seen.requests.map(({ model }) => model), ["sql", "sql"])
  assert.equal(failed.signal.aborted, true)
})
