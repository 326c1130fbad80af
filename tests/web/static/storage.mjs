// Fakes of the browser's storage: one that works, one that is full, one that is blocked.

export class FakeStorage {
  items = new Map()

  getItem(key) {
    return this.items.get(key) ?? null
  }

  setItem(key, value) {
    this.items.set(key, String(value))
  }

  removeItem(key) {
    this.items.delete(key)
  }
}

export class FullStorage extends FakeStorage {
  setItem() {
    throw new DOMException("The quota is exceeded.", "QuotaExceededError")
  }
}

// Browsers that block storage throw as soon as a page touches it.
export function provide(storage) {
  Object.defineProperty(globalThis, "localStorage", {
    configurable: true,
    get: () => {
      if (storage) return storage
      throw new DOMException("The operation is insecure.", "SecurityError")
    },
  })
  return storage
}
