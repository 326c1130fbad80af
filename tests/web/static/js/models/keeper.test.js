import assert from "node:assert/strict"
import { test } from "node:test"

import { Conversation } from "/static/js/models/conversation.js"
import { Keeper } from "/static/js/models/keeper.js"
import { withoutWaiting } from "../../clock.mjs"
import { answered } from "../../kept.mjs"

function keeper(busy = false) {
  const conversation = new Conversation()
  const kept = []
  const library = { keep: async () => { kept.push(conversation.title) } }
  return { made: new Keeper({ library, conversation, asker: { busy } }), conversation, kept }
}

test("many changes are kept once, a moment later", async () => {
  const { conversation, kept } = keeper()
  const waits = await withoutWaiting(async () => {
    answered(conversation, "One?", "1")
    await new Promise(resolve => setImmediate(() => setImmediate(resolve)))
    await new Promise(resolve => setTimeout(resolve, 5))
  })
  assert.deepEqual([waits[0], kept], [400, ["One?"]])
})

test("while an answer streams, less often", async () => {
  const { conversation } = keeper(true)
  const waits = await withoutWaiting(() => answered(conversation, "One?", "1"))
  assert.equal(waits[0], 3_000)
})

test("whoever leaves keeps at once, and only what changed", async () => {
  const { made, conversation, kept } = keeper()
  await made.flush()
  answered(conversation, "One?", "1")
  await made.flush()
  await made.flush()
  assert.deepEqual(kept, ["One?"])
})
