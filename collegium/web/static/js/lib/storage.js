// What the browser remembers; where storage is blocked, it remembers until the page is left.

const forgotten = new Map()

export function recall(name) {
  try {
    return localStorage.getItem(key(name))
  } catch {
    return forgotten.get(name) ?? null
  }
}

export function remember(name, value) {
  forgotten.set(name, value)
  try {
    localStorage.setItem(key(name), value)
  } catch {
    // Blocked or full: the copy above lasts as long as the page.
  }
}

export function forget(name) {
  forgotten.delete(name)
  try {
    localStorage.removeItem(key(name))
  } catch {
    // Nothing was stored.
  }
}

function key(name) {
  return `collegium.${name}`
}
