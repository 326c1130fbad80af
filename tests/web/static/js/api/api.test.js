import assert from "node:assert/strict"
import { test } from "node:test"

import { Api } from "/static/js/api/api.js"
import { ApiError } from "/static/js/api/api_error.js"
import { all, bodyOf, event, openBody, words } from "../../streams.mjs"

const QUESTION = { model: "auto", messages: [{ role: "user", content: "Hi" }], session: "s1" }

// An Api whose service gives these answers, one a request; and what it was asked.
function api(answers, keyRing = { key: null, replace: async () => false }) {
  const asked = []
  async function fetch(path, options) {
    asked.push({ path, ...options })
    const answer = answers.shift()
    if (answer instanceof Error) throw answer
    return typeof answer === "function" ? answer(options) : answer
  }
  return { api: new Api(keyRing, fetch), asked }
}

function refusal(status, problem = {}) {
  return new Response(JSON.stringify({ error: problem }), { status })
}

function streamed(pieces, options) {
  return new Response(bodyOf(pieces, options))
}

// A ring with these keys for whoever is asked; after the last one people give up.
function ring(...keys) {
  const refused = []
  return {
    refused,
    key: null,
    async replace(old) {
      refused.push(old)
      this.key = keys.shift() ?? null
      return this.key !== null
    },
  }
}

test("models are those of the list", async () => {
  const { api: service, asked } = api([Response.json({ object: "list", data: [{ id: "sql" }] })])
  assert.deepEqual(await service.models(), [{ id: "sql" }])
  assert.equal(asked[0].path, "/v1/models")
})

test("readiness is what the service says, never from a cache", async () => {
  const { api: service, asked } = api([
    Response.json({ status: "ready" }),
    Response.json({ status: "starting", detail: "loading weights" }, { status: 503 }),
    new Response("<html>", { status: 502 }),
  ])
  assert.deepEqual(await service.readiness(), { ready: true, status: "ready", detail: "" })
  assert.deepEqual(await service.readiness(), { ready: false, status: "starting", detail: "loading weights" })
  assert.deepEqual(await service.readiness(), { ready: false, status: "", detail: "" })
  assert.deepEqual(asked.map(({ path, cache }) => [path, cache]), Array(3).fill(["/readyz", "no-store"]))
})

test("a rating names its decision, and leaves out what was not said", async () => {
  const { api: service, asked } = api([Response.json({})])
  await service.rate("dec_1", "good_fit")
  assert.deepEqual([asked[0].path, asked[0].method], ["/v1/feedback", "POST"])
  assert.deepEqual(JSON.parse(asked[0].body), { decision_id: "dec_1", verdict: "good_fit" })
})

test("turning to another answer is told, and a service that takes it not bothers nobody", async () => {
  const { api: service, asked } = api([Response.json({}), refusal(422), new TypeError("Failed to fetch")])
  await service.turned("dec_1", "ask_another")
  await service.turned("dec_1", "preferred", "sql")
  await service.turned("dec_1", "preferred", "sql")
  assert.deepEqual(asked.map(({ body }) => JSON.parse(body)), [
    { decision_id: "dec_1", source: "ask_another" },
    ...Array(2).fill({ decision_id: "dec_1", source: "preferred", preferred: "sql" }),
  ])
})

test("an answer's chunks come until it is done, and what follows is not read", async () => {
  const pieces = [event(words("Hel")), event(words("lo")), "data: [DONE]\n\n", "data: not json\n\n"]
  const { api: service, asked } = api([streamed(pieces)])
  assert.deepEqual(await all(service.streamAnswer(QUESTION)), [words("Hel"), words("lo")])

  const { path, method, headers, body } = asked[0]
  assert.deepEqual([path, method], ["/v1/chat/completions", "POST"])
  assert.deepEqual(headers, { "content-type": "application/json", "x-session-id": "s1" })
  assert.deepEqual(JSON.parse(body), { model: "auto", messages: QUESTION.messages, stream: true })
})

test("an answer that ends before it is done was cut off, also in the middle of a chunk", async () => {
  for (const pieces of [[], [event(words("Hel"))], [event(words("Hel")), 'data: {"choices":[{"del']]) {
    const { api: service } = api([streamed(pieces)])
    await assert.rejects(all(service.streamAnswer(QUESTION)), { name: "ApiError", code: "cut_off" })
  }
})

test("a connection that breaks cuts the answer off, after what had come", async () => {
  const { api: service } = api([streamed([event(words("Hel"))], { error: new TypeError("terminated") })])
  const found = []
  await assert.rejects(async () => {
    for await (const chunk of service.streamAnswer(QUESTION)) found.push(chunk)
  }, { code: "cut_off" })
  assert.deepEqual(found, [words("Hel")])
})

test("an error in mid-stream is the service's own", async () => {
  const error = { message: "The engine died.", code: "expert_unavailable" }
  const { api: service } = api([streamed([event(words("Hel")), event({ error }), "data: [DONE]\n\n"])])
  await assert.rejects(all(service.streamAnswer(QUESTION)), { name: "ApiError", ...error, status: 0, passes: false })
})

test("an error in mid-stream needs no code", async () => {
  const { api: service } = api([streamed([event({ error: { message: "Oh." } })])])
  await assert.rejects(all(service.streamAnswer(QUESTION)), { message: "Oh.", code: "" })
})

test("what the page can't read is no network's fault", async () => {
  const { api: service } = api([streamed(["data: {{\n\n"])])
  await assert.rejects(all(service.streamAnswer(QUESTION)), SyntaxError)
})

test("a stream that a person stops ends with the stop, not with an error of ours", async () => {
  const controller = new AbortController()
  const { api: service } = api([({ signal }) => new Response(openBody([event(words("Hel"))], signal))])
  const chunks = service.streamAnswer(QUESTION, controller.signal)
  assert.deepEqual((await chunks.next()).value, words("Hel"))
  controller.abort()
  await assert.rejects(chunks.next(), { name: "AbortError" })
})

test("a network that fails while a person stops is the stop as well", async () => {
  const { api: service } = api([new TypeError("Failed to fetch")])
  await assert.rejects(all(service.streamAnswer(QUESTION, AbortSignal.abort())), TypeError)
})

test("a service that can't be reached is said to be so", async () => {
  const { api: service } = api(Array(3).fill(new TypeError("Failed to fetch")))
  await assert.rejects(service.models(), { name: "ApiError", code: "unreachable" })
  await assert.rejects(service.readiness(), { code: "unreachable" })
  await assert.rejects(all(service.streamAnswer(QUESTION)), { code: "unreachable" })
})

test("a key that is known goes with each request, beside its other headers", async () => {
  const { api: service, asked } = api([Response.json({})], { key: "k1" })
  await service.rate("dec_1", "good_fit")
  assert.deepEqual(asked[0].headers, { "content-type": "application/json", authorization: "Bearer k1" })
})

test("a refused request is made again with the new key, as often as there is one", async () => {
  const keyRing = ring("wrong", "right")
  const { api: service, asked } = api([refusal(401), refusal(401), Response.json({ data: [] })], keyRing)
  assert.deepEqual(await service.models(), [])
  assert.deepEqual(keyRing.refused, [null, "wrong"])
  assert.deepEqual(asked.map(({ headers }) => headers?.authorization), [undefined, "Bearer wrong", "Bearer right"])
})

test("whoever gives no key is told what the service said", async () => {
  const { api: service } = api([refusal(401, { message: "A key, please.", code: "invalid_api_key" })], ring())
  await assert.rejects(service.models(), { status: 401, code: "invalid_api_key", message: "A key, please." })
})

test("other refusals ask for no key", async () => {
  const keyRing = ring("never")
  const { api: service } = api([refusal(403, { message: "No." })], keyRing)
  await assert.rejects(service.models(), error => error instanceof ApiError && error.status === 403)
  assert.deepEqual(keyRing.refused, [])
})
