// Waits that are over at once, and can be counted; node 18 has no mock timers.

export async function withoutWaiting(act) {
  const { setTimeout: real } = globalThis
  const waits = []
  globalThis.setTimeout = (then, milliseconds) => {
    waits.push(milliseconds)
    return real(then, 0)
  }
  try {
    await act(waits)
  } finally {
    globalThis.setTimeout = real
  }
  return waits
}
