// Bodies of responses as they come over a network: in pieces, late, broken off.

export function bytes(text) {
  return new TextEncoder().encode(text)
}

// A stream of these pieces (text or bytes), then its end; or, given an error, that.
export function bodyOf(pieces, { error, onCancel } = {}) {
  const waiting = pieces.map(piece => typeof piece === "string" ? bytes(piece) : piece)
  return new ReadableStream({
    pull(controller) {
      if (waiting.length > 0) controller.enqueue(waiting.shift())
      else if (error) controller.error(error)
      else controller.close()
    },
    cancel: reason => onCancel?.(reason),
  }, { highWaterMark: 0 })
}

// A stream of these pieces that then stays open until the signal aborts it, as `fetch` does.
export function openBody(pieces, signal) {
  return new ReadableStream({
    start(controller) {
      for (const piece of pieces) controller.enqueue(bytes(piece))
      signal.addEventListener("abort", () => controller.error(signal.reason))
    },
  })
}

export function event(chunk) {
  return `data: ${JSON.stringify(chunk)}\n\n`
}

export function words(text, more = {}) {
  return { choices: [{ index: 0, delta: { content: text }, ...more }] }
}

export async function all(iterable) {
  const found = []
  for await (const each of iterable) found.push(each)
  return found
}
