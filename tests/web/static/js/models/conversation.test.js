import assert from "node:assert/strict"
import { test } from "node:test"

import { Answer } from "/static/js/models/answer.js"
import { Conversation } from "/static/js/models/conversation.js"
import { words } from "../../streams.mjs"

function ask(conversation, question, text) {
  const exchange = conversation.open(question)
  const answer = new Answer("auto")
  exchange.add(answer)
  if (text) answer.receive(words(text))
  answer.finish()
  return exchange
}

test("a question is sent with all that was said before it", () => {
  const conversation = new Conversation()
  ask(conversation, "1 + 1?", "2")
  ask(conversation, "2 + 2?", "4")
  assert.deepEqual(conversation.messagesFor(conversation.open("3 + 3?")), [
    { role: "user", content: "1 + 1?" }, { role: "assistant", content: "2" },
    { role: "user", content: "2 + 2?" }, { role: "assistant", content: "4" },
    { role: "user", content: "3 + 3?" },
  ])
})

test("a question without an answer is left out afterwards", () => {
  const conversation = new Conversation()
  ask(conversation, "1 + 1?", "")
  assert.deepEqual(conversation.messagesFor(conversation.open("2 + 2?")), [{ role: "user", content: "2 + 2?" }])
})

test("an earlier question that is asked again knows nothing of what came later", () => {
  const conversation = new Conversation()
  const first = ask(conversation, "1 + 1?", "2")
  ask(conversation, "2 + 2?", "4")
  assert.deepEqual(conversation.messagesFor(first), [{ role: "user", content: "1 + 1?" }])
})

test("a question of a conversation that was cleared is asked by itself", () => {
  const conversation = new Conversation()
  const old = ask(conversation, "1 + 1?", "2")
  conversation.clear()
  ask(conversation, "2 + 2?", "4")
  ask(conversation, "3 + 3?", "6")
  assert.deepEqual(conversation.messagesFor(old), [{ role: "user", content: "1 + 1?" }])
})

test("to clear it is to start anew, as somebody whom the router does not know", () => {
  const conversation = new Conversation()
  const { session } = conversation
  const told = []
  conversation.addEventListener("clear", () => told.push([conversation.empty, conversation.session !== session]))
  ask(conversation, "1 + 1?", "2")
  assert.deepEqual([conversation.empty, conversation.session], [false, session])
  conversation.clear()
  assert.deepEqual(told, [[true, true]])
})

test("whoever shows it is told of each question", () => {
  const conversation = new Conversation()
  const told = []
  conversation.addEventListener("open", ({ detail }) => told.push(detail))
  const exchange = conversation.open("1 + 1?")
  assert.deepEqual(told, [exchange])
})

test("it is called by its first question until a person names it", () => {
  const conversation = new Conversation()
  assert.equal(conversation.title, "New conversation")
  ask(conversation, "1 + 1?", "2")
  assert.equal(conversation.title, "1 + 1?")
  conversation.name("Sums")
  assert.deepEqual([conversation.title, conversation.named], ["Sums", "Sums"])
  conversation.name("")
  assert.equal(conversation.title, "1 + 1?")
})

test("whoever keeps it is told of each change, but not of what belongs to another one", () => {
  const conversation = new Conversation()
  const exchange = conversation.open("1 + 1?")
  let changes = 0
  conversation.addEventListener("change", () => changes++)
  const answer = new Answer("auto")
  exchange.add(answer)
  answer.receive(words("2"))
  assert.equal(changes, 2)
  conversation.clear()
  answer.receive(words("!"))
  assert.equal(changes, 2)
})

test("what goes along with a question is sent with it, later too", () => {
  const conversation = new Conversation()
  const attachments = [{ kind: "text", name: "a.txt", text: "hello" }]
  const exchange = conversation.open("What?", attachments)
  assert.deepEqual(conversation.messagesFor(exchange)[0].content.map(({ type }) => type), ["text", "text"])
})

test("it may become another one, and shows its questions", () => {
  const conversation = new Conversation()
  ask(conversation, "1 + 1?", "2")
  const [exchange] = conversation.exchanges
  const other = new Conversation()
  const told = []
  for (const name of ["clear", "open"]) other.addEventListener(name, () => told.push(name))
  other.restore({ session: "s", created: 1, named: "Sums", exchanges: [exchange] })
  assert.deepEqual([told, other.session, other.created, other.title], [["clear", "open"], "s", 1, "Sums"])
})
