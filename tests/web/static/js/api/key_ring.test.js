import assert from "node:assert/strict"
import { beforeEach, test } from "node:test"

import { KeyRing } from "/static/js/api/key_ring.js"
import { forget, remember } from "/static/js/lib/storage.js"
import { FakeStorage, FullStorage, provide } from "../../storage.mjs"

beforeEach(() => {
  provide(new FakeStorage())
  forget("api_key")
})

// A ring whose person gives these keys one after the other; and how each question was put.
function ring(...keys) {
  const questions = []
  const asked = new KeyRing(async question => {
    questions.push(question)
    await null
    const key = keys.shift()
    if (key instanceof Error) throw key
    return key
  })
  return { ring: asked, questions }
}

test("the key that a person gives is kept", async () => {
  const { ring: keys, questions } = ring("k1")
  assert.equal(keys.key, null)
  assert.equal(await keys.replace(null), true)
  assert.equal(keys.key, "k1")
  assert.deepEqual(questions, [{ refused: false }])
})

test("a refused key is forgotten, and the person is told that it was refused", async () => {
  remember("api_key", "old")
  const { ring: keys, questions } = ring("new")
  assert.equal(await keys.replace("old"), true)
  assert.equal(keys.key, "new")
  assert.deepEqual(questions, [{ refused: true }])
})

test("whoever gives no key has none, and may be asked again", async () => {
  remember("api_key", "old")
  const { ring: keys, questions } = ring(null, "", "new")
  assert.equal(await keys.replace("old"), false)
  assert.equal(keys.key, null)
  assert.equal(await keys.replace(null), false)
  assert.equal(await keys.replace(null), true)
  assert.equal(questions.length, 3)
})

test("requests that fail together share one question", async () => {
  const { ring: keys, questions } = ring("k1")
  assert.deepEqual(await Promise.all([keys.replace(null), keys.replace(null), keys.replace(null)]), [true, true, true])
  assert.equal(questions.length, 1)
})

test("a request that was refused with an older key takes the present one", async () => {
  remember("api_key", "new")
  const { ring: keys, questions } = ring()
  assert.equal(await keys.replace("old"), true)
  assert.equal(await keys.replace(null), true)
  assert.deepEqual(questions, [])
})

test("a question that failed does not stand in the way of the next", async () => {
  const { ring: keys } = ring(new Error("The dialog is gone."), "k1")
  await assert.rejects(keys.replace(null), /dialog/)
  assert.equal(await keys.replace(null), true)
})

test("where storage is full, a key lasts as long as the page", async () => {
  provide(new FullStorage())
  const { ring: keys, questions } = ring("k1")
  assert.equal(await keys.replace(null), true)
  assert.equal(keys.key, "k1")
  assert.equal(questions.length, 1)
})
