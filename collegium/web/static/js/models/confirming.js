// A sample of answers that a person marks one after the other, in an order that hides who answered.

const BETTER = { 1: 1, 2: 0, t: 0.5 }
const RIGHT = { y: 1, n: 0, h: 0.5 }
const LONGEST = 4_000

export class Confirming {
  #rows
  #swapped
  at = 0
  kept = 0

  constructor(rows, random = Math.random) {
    this.#rows = rows
    this.#swapped = rows.map(() => random() < 0.5)
  }

  get count() {
    return this.#rows.length
  }

  get row() {
    return this.#rows[this.at] ?? null
  }

  get shown() {
    const { request, answer, compared_with: other } = this.row
    const [first, second] = other === null ? [answer, null] : this.#swapped[this.at] ? [answer, other] : [other, answer]
    return { request: textOfRequest(request), first: textOf(first), second: second && textOf(second) }
  }

  // The mark that a word means; null where it is skipped.
  mark(word) {
    const { number, expert, compared_with: other } = this.row
    const said = (other === null ? RIGHT : BETTER)[word]
    if (said === undefined) return null
    // Without swapping the answer in question stands second.
    return { number, expert, score: other === null || this.#swapped[this.at] ? said : 1 - said }
  }

  next({ kept }) {
    this.at += 1
    if (kept) this.kept += 1
  }
}

function textOfRequest({ messages = [] }) {
  return messages.slice(-3).map(message => `${message.role}: ${textOf(message)}`).join("\n\n")
}

function textOf({ content, tool_calls: calls = [] }) {
  const text = typeof content === "string" ? content : content ? JSON.stringify(content) : ""
  const whole = [text, ...(calls ?? []).map(call => JSON.stringify(call.function))].filter(Boolean).join("\n")
  return whole.length > LONGEST ? `${whole.slice(0, LONGEST)}… [${whole.length} characters]` : whole
}
