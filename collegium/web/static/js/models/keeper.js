// Keeps the open conversation in the library, a moment after it changed.

const DELAY_MS = 400
const WHILE_STREAMING_MS = 3_000

export class Keeper {
  #library
  #asker
  #timer = null

  constructor({ library, conversation, asker }) {
    this.#library = library
    this.#asker = asker
    conversation.addEventListener("change", () => this.#soon())
  }

  async flush() {
    if (this.#timer === null) return
    clearTimeout(this.#timer)
    this.#timer = null
    await this.#library.keep()
  }

  #soon() {
    this.#timer ??= setTimeout(() => this.flush(), this.#asker.busy ? WHILE_STREAMING_MS : DELAY_MS)
  }
}
