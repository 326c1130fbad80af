// What the browser remembers; where storage is blocked or full, the page does until it is left.

class Memory {
  #storage
  #unstored = new Map()

  constructor(storage) {
    this.#storage = storage
  }

  recall = name => {
    if (this.#unstored.has(name)) return this.#unstored.get(name)
    try {
      return this.#storage().getItem(key(name))
    } catch {
      return null
    }
  }

  remember = (name, value) => {
    try {
      this.#storage().setItem(key(name), value)
      this.#unstored.delete(name)
    } catch {
      this.#unstored.set(name, value)
    }
  }

  forget = name => {
    this.#unstored.delete(name)
    try {
      this.#storage().removeItem(key(name))
    } catch {
      // Nothing was stored.
    }
  }
}

// For ever, and until the tab is closed.
export const lasting = new Memory(() => localStorage)
export const passing = new Memory(() => sessionStorage)
export const { recall, remember, forget } = lasting

function key(name) {
  return `collegium.${name}`
}
