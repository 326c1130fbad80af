// The conversations that this browser keeps: their heads in memory, all else in a store.

import { ApiError } from "/static/js/api/api_error.js"
import { randomId } from "/static/js/lib/ids.js"
import { exchangesFrom, recordBefore, recordOf } from "/static/js/models/record.js"
import { wordsOf } from "/static/js/models/search.js"
import { shortened } from "/static/js/models/titles.js"

export const MOST_CONVERSATIONS = 1_000
export const MOST_BYTES = 200 * 2 ** 20

const FULL = "This browser keeps no more conversations: delete some. This one is lost when you leave it; export it to keep it."

export class Library extends EventTarget {
  #store
  #conversation
  #heads = new Map()
  #lost = new Set()
  problem = null

  constructor(store, conversation) {
    super()
    this.#store = store
    this.#conversation = conversation
  }

  // The newest first.
  get heads() {
    return [...this.#heads.values()].sort((a, b) => b.updated - a.updated)
  }

  get current() {
    return this.#conversation.session
  }

  async load() {
    const heads = await this.#store.heads()
    this.#heads = new Map(heads.map(head => [head.id, head]))
    this.#changed()
  }

  // The conversation as it is now; one that was deleted is not kept again.
  async keep(conversation = this.#conversation) {
    if (conversation.empty || this.#lost.has(conversation.session)) return
    await this.#put(recordOf(conversation), conversation.title)
  }

  async open(id) {
    const record = await this.#store.get(id)
    if (record) this.#conversation.restore({ ...record, exchanges: exchangesFrom(record.exchanges) })
    this.#changed()
    return Boolean(record)
  }

  // A copy of what came before a question goes on in its own way; the conversation stays as it is.
  async branch(exchange) {
    const { named } = this.#conversation
    const records = structuredClone(recordBefore(this.#conversation, exchange))
    const kept = this.keep()
    this.#conversation.restore({
      session: randomId(), created: Date.now(), exchanges: exchangesFrom(records),
      named: records.length > 0 ? shortened(`${named ?? this.#conversation.title} (edited)`) : null,
    })
    await kept
    this.#changed()
  }

  async rename(id, title) {
    const named = shortened(title)
    if (id === this.current) return this.#conversation.name(named)
    const record = await this.#store.get(id)
    const head = this.#heads.get(id)
    if (record && head) await this.#put({ ...record, named: named || null }, named || head.title, head)
  }

  async remove(id) {
    this.#lost.add(id)
    await this.#store.remove(id)
    this.#heads.delete(id)
    this.#say(null)
  }

  async record(id) {
    return id === this.current ? recordOf(this.#conversation) : this.#store.get(id)
  }

  // A conversation from a file gets a session of its own.
  async add({ title, ...record }) {
    const id = randomId()
    const now = Date.now()
    await this.#put({ ...record, session: id, created: now }, title)
    return this.#heads.has(id) ? id : null
  }

  // Whose title, questions or answers have all of these words; reading stops when nobody wants them any more.
  async search(words, signal) {
    const wanted = wordsOf(words)
    if (wanted.length === 0) return this.heads
    const found = await this.#store.idsWith(wanted, signal)
    return this.heads.filter(({ id }) => found.has(id))
  }

  async #put(record, title, { updated = Date.now() } = {}) {
    const head = { id: record.session, title, created: record.created, updated, bytes: JSON.stringify(record).length }
    const others = this.heads.filter(({ id }) => id !== head.id)
    const bytes = others.reduce((sum, other) => sum + other.bytes, head.bytes)
    if (others.length >= MOST_CONVERSATIONS || bytes > MOST_BYTES) return this.#say(FULL)
    try {
      await this.#store.put(head, record)
    } catch (error) {
      if (error?.name !== "QuotaExceededError") throw error
      return this.#say(FULL)
    }
    this.#heads.set(head.id, head)
    this.#say(null)
  }

  #say(problem) {
    this.problem = problem && new ApiError(problem)
    this.#changed()
  }

  #changed() {
    this.dispatchEvent(new Event("change"))
  }
}
