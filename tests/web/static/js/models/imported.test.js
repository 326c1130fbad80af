import assert from "node:assert/strict"
import { test } from "node:test"

import { Unreadable } from "/static/js/models/checked.js"
import { asJson } from "/static/js/models/exported.js"
import { conversationFrom } from "/static/js/models/imported.js"
import { exchangesFrom, recordOf } from "/static/js/models/record.js"
import { conversation } from "../../kept.mjs"

const file = () => JSON.parse(asJson(recordOf(conversation()), "Cats"))

function refused(change, words) {
  const made = file()
  change(made)
  assert.throws(() => conversationFrom(JSON.stringify(made)), error => error instanceof Unreadable && words.test(error.message))
}

test("what was exported is imported as it was, but for the session", () => {
  const made = conversation()
  const { title, exchanges } = conversationFrom(asJson(recordOf(made), "Cats"))
  assert.deepEqual([title, exchanges.length], ["Cats", 2])
  assert.deepEqual(exchangesFrom(exchanges)[0].message, made.exchanges[0].message)
  const [answer] = exchanges[0].answers
  assert.deepEqual([answer.text, answer.decision.forecasts[0].expert, exchanges[0].picked], ["A **cat**.", "sql", 1])
  assert.equal(JSON.stringify(exchanges).includes(made.session), false)
})

test("what a file may not hold is refused with its place", () => {
  refused(made => { made.format = "other" }, /^The file.format is none of/)
  refused(made => { made.version = 2 }, /version/)
  refused(made => { made.exchanges = [] }, /no question/)
  refused(made => { made.exchanges[0].question = 7 }, /^The file.exchanges\[0\].question is not a text/)
  refused(made => { made.exchanges[0].picked = 9 }, /picked names no answer/)
  refused(made => { made.exchanges[0].attachments[0].url = "https://example.org/a.png" }, /attachments\[0\].url is not the data/)
  refused(made => { made.exchanges[0].attachments[0].url = "data:image/svg+xml;base64,AAAA" }, /url/)
  refused(made => { made.exchanges[0].answers[0].decision.forecasts = {} }, /forecasts is not a list/)
  refused(made => { made.exchanges[0].answers[0].state = "magic" }, /state is none of/)
})

test("what the page does not know is left out", () => {
  const made = file()
  made.exchanges[0].answers[0].panel = { seats: "x" }
  made.exchanges[0].answers[0].extra = 1
  const [answer] = conversationFrom(JSON.stringify(made)).exchanges[0].answers
  assert.deepEqual([answer.panel, answer.extra], [null, undefined])
})

test("what is no JSON is told as that", () => {
  for (const text of ["", "{", "null", "[]", "7"]) assert.throws(() => conversationFrom(text), Unreadable, text)
})
