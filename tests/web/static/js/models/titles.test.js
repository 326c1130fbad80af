import assert from "node:assert/strict"
import { test } from "node:test"

import { shortened, titleOf } from "/static/js/models/titles.js"

test("a conversation is called by the first line of its first question", () => {
  assert.equal(titleOf({ question: "\n  What  is 2 + 2?\nSay it.", attachments: [] }), "What is 2 + 2?")
  assert.equal(titleOf({ question: "", attachments: [{ name: "cat.png" }] }), "cat.png")
  assert.equal(titleOf(undefined), "New conversation")
})

test("long titles are cut between characters", () => {
  assert.equal([...shortened("😀".repeat(100))].length, 80)
  assert.ok(shortened("😀".repeat(100)).endsWith("😀…"))
})
