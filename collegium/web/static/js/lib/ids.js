// Ids that nobody guesses; `crypto.randomUUID` is missing where the page is served without TLS.

export function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return Array.from(bytes, byte => byte.toString(16).padStart(2, "0")).join("")
}

let count = 0

export function elementId(prefix) {
  return `${prefix}-${++count}`
}
