// What the browser remembers; where storage is blocked or full, the page does until it is left.

const unstored = new Map()

export function recall(name) {
  if (unstored.has(name)) return unstored.get(name)
  try {
    return localStorage.getItem(key(name))
  } catch {
    return null
  }
}

export function remember(name, value) {
  try {
    localStorage.setItem(key(name), value)
    unstored.delete(name)
  } catch {
    unstored.set(name, value)
  }
}

export function forget(name) {
  unstored.delete(name)
  try {
    localStorage.removeItem(key(name))
  } catch {
    // Nothing was stored.
  }
}

function key(name) {
  return `collegium.${name}`
}
