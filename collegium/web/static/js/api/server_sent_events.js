// Read the `data` of server-sent events from a response's body.

export async function* serverSentEvents(body) {
  for await (const block of blocks(body.pipeThrough(new TextDecoderStream()))) {
    const data = dataOf(block)
    if (data !== "") yield data
  }
}

// Safari can't iterate over a stream, so a reader it is; leaving the loop lets go of the connection.
// A block without its blank line broke off, and is dropped.
async function* blocks(stream) {
  const reader = stream.getReader()
  let buffer = ""
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      const parts = (buffer + value).split(/\r?\n\r?\n/)
      buffer = parts.pop()
      yield* parts
    }
  } finally {
    await reader.cancel().catch(() => {})
  }
}

function dataOf(block) {
  return block
    .split(/\r?\n/)
    .filter(line => line.startsWith("data:"))
    .map(line => line.slice(5).replace(/^ /, ""))
    .join("\n")
}
