// Conversations for as long as the page is open, where the browser keeps nothing.

import { hasWords } from "/static/js/models/search.js"

export class MemoryStore {
  #kept = new Map()
  lasting = false

  async heads() {
    return [...this.#kept.values()].map(({ head }) => head)
  }

  async get(id) {
    return structuredClone(this.#kept.get(id)?.record ?? null)
  }

  async put(head, record) {
    this.#kept.set(head.id, structuredClone({ head, record }))
  }

  async remove(id) {
    this.#kept.delete(id)
  }

  async idsWith(words) {
    const found = [...this.#kept.values()].filter(({ head, record }) => hasWords(head.title, record, words))
    return new Set(found.map(({ head }) => head.id))
  }
}
