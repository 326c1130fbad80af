import assert from "node:assert/strict"
import { test } from "node:test"

import { MOST_ATTACHMENTS, Unattachable } from "/static/js/models/attachment.js"
import { Draft } from "/static/js/models/draft.js"

const image = name => ({ name, type: "image/png" })
const text = name => ({ name, type: "text/plain" })
const read = async ({ name, type }) => {
  if (name === "bad") throw new Unattachable("bad is no text.")
  return { kind: type.split("/")[0], name, alt: "" }
}

test("files are added one after the other, and taken along together", async () => {
  const draft = new Draft(read)
  let changes = 0
  draft.addEventListener("change", () => changes++)
  await draft.add([image("a"), text("b")], { images: "yes" })
  assert.deepEqual([draft.attachments.map(({ name }) => name), draft.hasImages, draft.empty, changes], [["a", "b"], true, false, 1])
  assert.deepEqual(draft.take().map(({ name }) => name), ["a", "b"])
  assert.deepEqual([draft.empty, changes], [true, 2])
})

test("images are refused where nobody takes them, and files of text are not", async () => {
  const draft = new Draft(read)
  await draft.add([image("a"), text("b")], { images: "no" })
  assert.deepEqual([draft.attachments.map(({ name }) => name), draft.hasImages], [["b"], false])
  assert.match(draft.problem, /No expert/)
  await draft.add([image("a")], { images: "unknown" })
  assert.deepEqual([draft.attachments.length, draft.problem], [2, ""])
})

test("what can't be read is told, and the others are taken", async () => {
  const draft = new Draft(read)
  await draft.add([text("bad"), text("good")], { images: "yes" })
  assert.deepEqual([draft.problem, draft.attachments.map(({ name }) => name)], ["bad is no text.", ["good"]])
})

test("so many and no more", async () => {
  const draft = new Draft(read)
  await draft.add(Array.from({ length: MOST_ATTACHMENTS + 1 }, (_, at) => text(String(at))), { images: "yes" })
  assert.equal(draft.attachments.length, MOST_ATTACHMENTS)
  assert.match(draft.problem, /At most 8/)
})

test("they can be described and taken away; a bug is shown as one", async () => {
  const draft = new Draft(read)
  await draft.add([image("a"), image("b")], { images: "yes" })
  const [a, b] = draft.attachments
  draft.describe(b, " a cat ")
  draft.remove(a)
  assert.deepEqual(draft.attachments, [{ kind: "image", name: "b", alt: "a cat" }])
  await assert.rejects(new Draft(() => { throw new TypeError("x") }).add([text("a")], { images: "yes" }), TypeError)
})
