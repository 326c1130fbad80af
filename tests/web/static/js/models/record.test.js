import assert from "node:assert/strict"
import { test } from "node:test"

import { Answer } from "/static/js/models/answer.js"
import { Conversation } from "/static/js/models/conversation.js"
import { exchangesFrom, recordBefore, recordOf } from "/static/js/models/record.js"
import { words } from "../../streams.mjs"
import { answered, conversation } from "../../kept.mjs"

function again(record) {
  const made = new Conversation()
  made.restore({ ...record, exchanges: exchangesFrom(structuredClone(record.exchanges)) })
  return made
}

test("a conversation that was kept is what it was", () => {
  const made = conversation()
  made.name("Cats")
  const back = again(recordOf(made))
  assert.deepEqual([back.session, back.created, back.title], [made.session, made.created, "Cats"])
  assert.deepEqual(back.messagesFor(back.exchanges[1]), made.messagesFor(made.exchanges[1]))
  assert.deepEqual(recordOf(back), recordOf(made))
  assert.equal(back.exchanges[0].chosen.text, "A dog.")
  const { error, state } = back.exchanges[1].answers[0]
  assert.deepEqual([state, error.message, error.code, error.status], ["failed", "It broke.", "expert_unavailable", 503])
})

test("an answer that was under way has stopped, or failed where it had no words", () => {
  const made = new Conversation()
  const exchange = made.open("Hi")
  for (const chunk of [words("Hel"), null]) {
    const answer = new Answer("auto")
    exchange.add(answer)
    if (chunk) answer.receive(chunk)
  }
  const [some, none] = again(recordOf(made)).exchanges[0].answers
  assert.deepEqual([some.state, some.text, some.error, none.state, none.error.code], ["stopped", "Hel", null, "failed", "left"])
})

test("a panel has its seats again, and the answer that was preferred", () => {
  const made = new Conversation()
  const exchange = made.open("Hi")
  const answer = new Answer("collegium/vote")
  exchange.add(answer)
  answer.receive({ collegium: { panel: { event: "started", seat: 0, expert: "a", role: "member" } }, choices: [] })
  answer.receive({ ...words("1"), collegium: { panel: { event: "replied", seat: 0, text: "2" } } })
  answer.finish()
  answer.prefer(answer.panel.seats[0])
  const [back] = again(recordOf(made)).exchanges[0].answers
  assert.deepEqual([back.panel.seats[0].expert, back.preferred, back.text], ["a", back.panel.seats[0], "2"])
  back.panel.receive({ event: "said", seat: 0, text: "!" })
  assert.equal(back.panel.seats[0].text, "2!")
})

test("what came before a question does not have it", () => {
  const made = new Conversation()
  answered(made, "1", "one")
  const second = answered(made, "2", "two")
  assert.deepEqual(recordBefore(made, second).map(({ question }) => question), ["1"])
})
