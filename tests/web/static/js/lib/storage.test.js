import assert from "node:assert/strict"
import { afterEach, test } from "node:test"

import { forget, passing, recall, remember } from "/static/js/lib/storage.js"
import { FakeStorage, FullStorage, provide } from "../../storage.mjs"

afterEach(() => forget("theme"))

test("what is remembered is in the browser's storage, under the page's own name", () => {
  const storage = provide(new FakeStorage())
  remember("theme", "dark")
  assert.deepEqual([...storage.items], [["collegium.theme", "dark"]])
  assert.equal(recall("theme"), "dark")
})

test("what nobody remembered is null, and what is forgotten too", () => {
  const storage = provide(new FakeStorage())
  assert.equal(recall("theme"), null)
  remember("theme", "dark")
  forget("theme")
  assert.equal(recall("theme"), null)
  assert.equal(storage.items.size, 0)
})

test("what another tab remembers is seen", () => {
  const storage = provide(new FakeStorage())
  remember("theme", "dark")
  storage.setItem("collegium.theme", "light")
  assert.equal(recall("theme"), "light")
  storage.removeItem("collegium.theme")
  assert.equal(recall("theme"), null)
})

test("where storage is blocked, the page remembers by itself", () => {
  provide(null)
  assert.equal(recall("theme"), null)
  remember("theme", "dark")
  assert.equal(recall("theme"), "dark")
  forget("theme")
  assert.equal(recall("theme"), null)
})

test("where storage is full, the page remembers by itself, whatever is stored", () => {
  const storage = provide(new FullStorage())
  storage.items.set("collegium.theme", "light")
  remember("theme", "dark")
  assert.equal(recall("theme"), "dark")
})

test("once there is room again, the storage is what counts", () => {
  provide(new FullStorage())
  remember("theme", "dark")
  const storage = provide(new FakeStorage())
  remember("theme", "light")
  storage.setItem("collegium.theme", "dark")
  assert.equal(recall("theme"), "dark")
})

test("what is for this tab alone is in another storage", () => {
  const here = new FakeStorage()
  Object.defineProperty(globalThis, "sessionStorage", { configurable: true, get: () => here })
  passing.remember("key", "k")
  assert.deepEqual([passing.recall("key"), recall("key"), here.items.size], ["k", null, 1])
  passing.forget("key")
  assert.equal(passing.recall("key"), null)
})
