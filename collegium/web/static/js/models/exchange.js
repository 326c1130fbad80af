// One question, what goes along with it, and the answers it got; one of them carries the conversation on.

import { contentOf } from "/static/js/models/attachment.js"

export class Exchange extends EventTarget {
  #answers = []
  #picked = null

  constructor(question, attachments = []) {
    super()
    this.question = question
    this.attachments = attachments
  }

  get answers() {
    return [...this.#answers]
  }

  get chosen() {
    const usable = this.#answers.filter(answer => answer.usable)
    return usable.includes(this.#picked) ? this.#picked : usable[0] ?? null
  }

  get message() {
    return { role: "user", content: contentOf(this.question, this.attachments) }
  }

  get messages() {
    if (!this.chosen) return []
    return [this.message, { role: "assistant", content: this.chosen.text }]
  }

  add(answer) {
    this.#answers.push(answer)
    answer.addEventListener("change", () => this.#changed("progress"))
    this.#changed("answers")
  }

  replace(old, answer) {
    this.#answers = this.#answers.filter(other => other !== old)
    this.add(answer)
  }

  choose(answer) {
    this.#picked = answer
    this.#changed("progress")
  }

  #changed(what) {
    this.dispatchEvent(new Event(what))
  }
}
