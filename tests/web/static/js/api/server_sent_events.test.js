import assert from "node:assert/strict"
import { test } from "node:test"

import { serverSentEvents } from "/static/js/api/server_sent_events.js"
import { all, bodyOf, bytes } from "../../streams.mjs"

function read(...pieces) {
  return all(serverSentEvents(bodyOf(pieces)))
}

function* everyCut(data) {
  for (let at = 0; at <= data.length; at++) yield [data.slice(0, at), data.slice(at)]
}

test("each event's data comes once, in order", async () => {
  assert.deepEqual(await read("data: one\n\ndata: two\n\ndata: [DONE]\n\n"), ["one", "two", "[DONE]"])
})

test("it does not matter where the network cuts the stream, be it within a character", async () => {
  const text = 'data: {"a":"né 🙂"}\n\ndata: 你好\n\n'
  for (const pieces of everyCut(bytes(text))) {
    assert.deepEqual(await read(...pieces), ['{"a":"né 🙂"}', "你好"])
  }
  assert.deepEqual(await read(...Array.from(bytes(text), byte => Uint8Array.of(byte))), ['{"a":"né 🙂"}', "你好"])
})

test("lines may end with CRLF, cut anywhere, and mixed with LF", async () => {
  for (const pieces of everyCut(bytes("data: one\r\n\r\ndata: two\n\r\ndata: three\r\n\n"))) {
    assert.deepEqual(await read(...pieces), ["one", "two", "three"])
  }
})

test("several lines of data are one event's", async () => {
  assert.deepEqual(await read("data: {\ndata:  }\n\n"), ["{\n }"])
})

test("the space after the colon may be missing", async () => {
  assert.deepEqual(await read("data:one\n\n"), ["one"])
})

test("comments, names, ids and events without data are no data", async () => {
  assert.deepEqual(await read(": ping\n\nevent: token\nid: 7\nretry: 10\ndata: one\n\nevent: x\n\ndata:\n\n\n\n"), ["one"])
})

test("colons within the data stay", async () => {
  assert.deepEqual(await read("data: data: one\n\n"), ["data: one"])
})

test("a byte order mark is no part of the data", async () => {
  assert.deepEqual(await read(Uint8Array.of(0xef, 0xbb, 0xbf), "data: one\n\n"), ["one"])
})

test("an empty stream has no events", async () => {
  assert.deepEqual(await read(), [])
  assert.deepEqual(await read("", ""), [])
})

test("an event that broke off is none: half of its data may be missing", async () => {
  assert.deepEqual(await read('data: one\n\ndata: {"choi'), ["one"])
  assert.deepEqual(await read("data: one\n\ndata: two\n"), ["one"])
})

test("events before an error are read, and then the error is thrown", async () => {
  const found = []
  const error = new TypeError("terminated")
  await assert.rejects(async () => {
    for await (const data of serverSentEvents(bodyOf(["data: one\n\n"], { error }))) found.push(data)
  }, error)
  assert.deepEqual(found, ["one"])
})

test("whoever stops reading lets go of the connection", async () => {
  let cancelled = 0
  const body = bodyOf(["data: one\n\n", "data: two\n\n", "data: three\n\n"], { onCancel: () => cancelled++ })
  for await (const data of serverSentEvents(body)) {
    assert.equal(data, "one")
    break
  }
  assert.equal(cancelled, 1)
})

test("events are told as they come, not at the stream's end", async () => {
  let controller
  const events = serverSentEvents(new ReadableStream({ start: given => { controller = given } }))
  controller.enqueue(bytes("data: one\n\nda"))
  assert.deepEqual(await events.next(), { done: false, value: "one" })
  controller.enqueue(bytes("ta: two\n\n"))
  assert.deepEqual(await events.next(), { done: false, value: "two" })
  controller.close()
  assert.equal((await events.next()).done, true)
})
