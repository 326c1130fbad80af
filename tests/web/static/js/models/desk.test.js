import assert from "node:assert/strict"
import { test } from "node:test"

import { Unreadable } from "/static/js/models/checked.js"
import { Conversation } from "/static/js/models/conversation.js"
import { Desk } from "/static/js/models/desk.js"
import { asJson } from "/static/js/models/exported.js"
import { Keeper } from "/static/js/models/keeper.js"
import { Library } from "/static/js/models/library.js"
import { recordOf } from "/static/js/models/record.js"
import { MemoryStore } from "/static/js/store/memory_store.js"
import { answered, conversation as full } from "../../kept.mjs"

function desk() {
  const conversation = new Conversation()
  const asker = { busy: false, stops: 0, stop() { this.stops++ } }
  const library = new Library(new MemoryStore(), conversation)
  const keeper = new Keeper({ library, conversation, asker })
  return { made: new Desk({ library, keeper, asker, conversation }), conversation, library, asker }
}

test("whoever starts anew or opens another one stops what is under way, and keeps it", async () => {
  const { made, conversation, library, asker } = desk()
  answered(conversation, "One?", "1")
  const { session } = conversation
  await made.startAnew()
  assert.deepEqual([conversation.empty, library.heads.length, asker.stops], [true, 1, 1])
  answered(conversation, "Two?", "2")
  assert.equal(await made.open(session), true)
  assert.deepEqual([conversation.title, library.heads.length, asker.stops], ["One?", 2, 2])
  assert.equal(await made.open(session), true)
  assert.equal(asker.stops, 2)
})

test("a new conversation is there at once, and the old one is kept as it was", async () => {
  const { made, conversation, library } = desk()
  answered(conversation, "One?", "1")
  const starting = made.startAnew()
  assert.equal(conversation.empty, true)
  answered(conversation, "Two?", "2")
  await starting
  assert.deepEqual(library.heads.map(({ title }) => title), ["One?"])
  assert.equal(conversation.title, "Two?")
})

test("a question that is asked in other words leaves the conversation as it was", async () => {
  const { made, conversation, library } = desk()
  const first = answered(conversation, "One?", "1")
  const { session } = conversation
  await made.branch(first)
  answered(conversation, "Another?", "2")
  assert.notEqual(conversation.session, session)
  assert.equal((await library.record(session)).exchanges[0].question, "One?")
})

test("to delete the open conversation is to start anew; another one stays", async () => {
  const { made, conversation, library } = desk()
  answered(conversation, "One?", "1")
  const { session } = conversation
  await made.startAnew()
  answered(conversation, "Two?", "2")
  await made.remove(session)
  assert.equal(conversation.title, "Two?")
  await made.remove(conversation.session)
  assert.deepEqual([conversation.empty, library.heads], [true, []])
})

test("a file is kept and opened", async () => {
  const { made, conversation, library } = desk()
  assert.equal(await made.import(asJson(recordOf(full()), "Cats")), true)
  assert.deepEqual([conversation.exchanges.length, library.heads[0].title], [2, "Cats"])
  await assert.rejects(made.import("{}"), Unreadable)
})
