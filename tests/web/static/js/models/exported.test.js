import assert from "node:assert/strict"
import { test } from "node:test"

import { asJson, asMarkdown, fileName } from "/static/js/models/exported.js"
import { recordOf } from "/static/js/models/record.js"
import { conversation } from "../../kept.mjs"

test("Markdown tells questions, answers, who gave them, and what failed", () => {
  const record = { ...recordOf(conversation()), created: Date.UTC(2026, 10, 29, 12) }
  record.exchanges[0].attachments.push({ kind: "text", name: "b.md", text: "```\nx\n```" })
  assert.equal(asMarkdown(record, "Cats"), `# Cats

*2026-11-29*

## Question

What is it?

*Image: a.png (a cat)*

*File: b.md*

\`\`\`\`
\`\`\`
x
\`\`\`
\`\`\`\`

### sql

A **cat**.

### sql (in the conversation)

A dog.

## Question

And now?

### sql

*No answer: It broke.*
`)
})

test("JSON says what it is, and not which session it was", () => {
  const made = conversation()
  const told = JSON.parse(asJson(recordOf(made), "Cats"))
  assert.deepEqual([told.format, told.version, told.title, told.session], ["collegium.conversation", 1, "Cats", undefined])
})

test("a file's name has letters and numbers of any script", () => {
  assert.equal(fileName("What is 2 + 2?", "md"), "What-is-2-2.md")
  assert.equal(fileName("../../etc/passwd", "json"), "etc-passwd.json")
  assert.equal(fileName("猫は何ですか?", "md"), "猫は何ですか.md")
  assert.equal(fileName("???", "md"), "conversation.md")
  assert.ok(fileName("x".repeat(500), "md").length < 70)
})
