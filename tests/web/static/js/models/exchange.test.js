import assert from "node:assert/strict"
import { test } from "node:test"

import { Answer } from "/static/js/models/answer.js"
import { Exchange } from "/static/js/models/exchange.js"
import { words } from "../../streams.mjs"

function answered(text) {
  const answer = new Answer("auto")
  if (text) answer.receive(words(text))
  answer.finish()
  return answer
}

function exchange(...answers) {
  const made = new Exchange("How many?")
  for (const answer of answers) made.add(answer)
  return made
}

function heard(target, ...names) {
  const events = []
  for (const name of names) target.addEventListener(name, ({ type }) => events.push(type))
  return events
}

test("without an answer that can be used there are no messages", () => {
  for (const made of [exchange(), exchange(new Answer("auto")), exchange(answered(""))]) {
    assert.deepEqual([made.chosen, made.messages], [null, []])
  }
})

test("the first usable answer carries the conversation on", () => {
  const [failed, four, five] = [answered(""), answered("four"), answered("five")]
  const made = exchange(failed, four, five)
  assert.equal(made.chosen, four)
  assert.deepEqual(made.messages, [{ role: "user", content: "How many?" }, { role: "assistant", content: "four" }])
})

test("a person may choose another, as long as it can be used", () => {
  const [four, five, failed] = [answered("four"), answered("five"), answered("")]
  const made = exchange(four, five, failed)
  made.choose(five)
  assert.equal(made.chosen, five)
  made.choose(failed)
  assert.equal(made.chosen, four)
})

test("another answer takes the place of a failed one", () => {
  const [failed, four] = [answered(""), answered("four")]
  const made = exchange(failed)
  made.replace(failed, four)
  assert.deepEqual(made.answers, [four])
  assert.equal(made.chosen, four)
})

test("whoever shows it is told of answers and of their progress", () => {
  const made = exchange()
  const events = heard(made, "answers", "progress")
  const answer = new Answer("auto")
  made.add(answer)
  answer.receive(words("four"))
  made.choose(answer)
  assert.deepEqual(events, ["answers", "progress", "progress"])
})

test("the list of answers is a copy", () => {
  const made = exchange(answered("four"))
  made.answers.pop()
  assert.equal(made.answers.length, 1)
})
