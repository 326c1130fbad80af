// Conversations in the browser's own database (IndexedDB): heads for the list, records for the rest.

import { hasWords } from "/static/js/models/search.js"
import { MemoryStore } from "/static/js/store/memory_store.js"

const NAME = "collegium"
const VERSION = 1

// Private windows and strict settings have no database.
export async function openStore() {
  try {
    return new BrowserStore(await opened())
  } catch (error) {
    if (!(error instanceof DOMException)) throw error
    return new MemoryStore()
  }
}

class BrowserStore {
  #database
  lasting = true

  constructor(database) {
    this.#database = database
  }

  async heads() {
    return result(this.#stores("readonly").heads.getAll())
  }

  async get(id) {
    return await result(this.#stores("readonly").records.get(id)) ?? null
  }

  async put(head, record) {
    const { heads, records, done } = this.#stores("readwrite")
    heads.put(head)
    records.put(record)
    await done
  }

  async remove(id) {
    const { heads, records, done } = this.#stores("readwrite")
    heads.delete(id)
    records.delete(id)
    await done
  }

  // One record after the other, for all of them may be too many to hold.
  async idsWith(words, signal) {
    const titles = new Map((await this.heads()).map(({ id, title }) => [id, title]))
    const found = new Set()
    const request = this.#stores("readonly").records.openCursor()
    for (let cursor = await result(request); cursor && !signal?.aborted; cursor = await result(request)) {
      const { session } = cursor.value
      if (hasWords(titles.get(session) ?? "", cursor.value, words)) found.add(session)
      cursor.continue()
    }
    return found
  }

  #stores(mode) {
    const transaction = this.#database.transaction(["heads", "records"], mode)
    const done = new Promise((resolve, reject) => {
      transaction.oncomplete = resolve
      transaction.onabort = () => reject(transaction.error)
    })
    done.catch(() => {}) // whoever wants to know awaits it
    return { heads: transaction.objectStore("heads"), records: transaction.objectStore("records"), done }
  }
}

function opened() {
  const request = indexedDB.open(NAME, VERSION)
  request.onupgradeneeded = () => {
    request.result.createObjectStore("heads", { keyPath: "id" })
    request.result.createObjectStore("records", { keyPath: "session" })
  }
  return result(request)
}

function result(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}
