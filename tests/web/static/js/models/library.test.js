import assert from "node:assert/strict"
import { test } from "node:test"

import { Conversation } from "/static/js/models/conversation.js"
import { Library, MOST_CONVERSATIONS } from "/static/js/models/library.js"
import { MemoryStore } from "/static/js/store/memory_store.js"
import { answered, conversation as full } from "../../kept.mjs"

function library(store = new MemoryStore()) {
  const conversation = new Conversation()
  return { made: new Library(store, conversation), conversation, store }
}

const titles = made => made.heads.map(({ title }) => title)

test("conversations are kept, listed with the newest first, and opened again", async () => {
  const { made, conversation, store } = library()
  answered(conversation, "One?", "1")
  await made.keep()
  const { session } = conversation
  conversation.clear()
  await new Promise(resolve => setTimeout(resolve, 3))
  answered(conversation, "Two?", "2")
  await made.keep()
  assert.deepEqual(titles(made), ["Two?", "One?"])
  assert.equal(await made.open(session), true)
  assert.deepEqual([conversation.session, conversation.exchanges[0].chosen.text, made.current], [session, "1", session])
  assert.equal(await made.open("nobody"), false)

  const other = library(store)
  await other.made.load()
  assert.deepEqual(titles(other.made), ["Two?", "One?"])
})

test("an empty conversation is not kept, nor one that was deleted", async () => {
  const { made, conversation } = library()
  await made.keep()
  assert.deepEqual(titles(made), [])
  answered(conversation, "One?", "1")
  await made.keep()
  await made.remove(conversation.session)
  await made.keep()
  assert.deepEqual(titles(made), [])
})

test("names are given by people, and don't make a conversation newer", async () => {
  const { made, conversation } = library()
  answered(conversation, "One?", "1")
  await made.keep()
  const [{ id, updated }] = made.heads
  conversation.clear()
  await made.rename(id, "  The  first ")
  assert.deepEqual([titles(made), made.heads[0].updated], [["The first"], updated])
  await made.open(id)
  assert.equal(conversation.title, "The first")
  await made.rename(id, "Still the first")
  assert.equal(conversation.title, "Still the first")
})

test("words are found in all of them", async () => {
  const { made, conversation } = library()
  answered(conversation, "One?", "apple")
  await made.keep()
  conversation.clear()
  answered(conversation, "Two?", "pear")
  await made.keep()
  const found = async words => (await made.search(words)).map(({ title }) => title)
  assert.deepEqual(await found("PEAR"), ["Two?"])
  assert.deepEqual(await found("plum"), [])
  assert.deepEqual((await found("  ")).length, 2)
})

test("a branch is a copy of what came before, and a session of its own", async () => {
  const { made, conversation } = library()
  answered(conversation, "One?", "1")
  const second = answered(conversation, "Two?", "2")
  const { session } = conversation
  await made.branch(second)
  assert.notEqual(conversation.session, session)
  assert.deepEqual([conversation.exchanges.map(({ question }) => question), conversation.title], [["One?"], "One? (edited)"])
  assert.deepEqual((await made.record(session)).exchanges.length, 2)
  await made.branch(conversation.exchanges[0])
  assert.deepEqual([conversation.empty, conversation.title], [true, "New conversation"])
})

test("a file's conversation has a session of its own", async () => {
  const { made } = library()
  const { exchanges } = full()
  const id = await made.add({ title: "Cats", named: null, exchanges: [] })
  assert.equal(exchanges.length, 2)
  assert.deepEqual([titles(made), (await made.record(id)).session], [["Cats"], id])
})

test("a full browser is told, and mended by deleting", async () => {
  const { made, conversation, store } = library()
  answered(conversation, "One?", "1")
  const put = store.put.bind(store)
  store.put = async () => { throw new DOMException("full", "QuotaExceededError") }
  await made.keep()
  assert.match(made.problem.message, /delete some/)
  store.put = put
  await made.keep()
  assert.deepEqual([made.problem, titles(made)], [null, ["One?"]])
  store.put = async () => { throw new TypeError("a bug") }
  await assert.rejects(made.keep(), TypeError)
})

test("so many conversations and no more", async () => {
  const { made, conversation, store } = library()
  const heads = Array.from({ length: MOST_CONVERSATIONS }, (_, at) => ({ id: String(at), title: "x", updated: at, bytes: 1 }))
  store.heads = async () => heads
  await made.load()
  answered(conversation, "One?", "1")
  await made.keep()
  assert.match(made.problem.message, /delete some/)
})
