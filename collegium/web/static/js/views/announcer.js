// Say things to screen readers: when an answer begins, ends or fails, never each word of it.

const LONGEST = 600

export class Announcer {
  #region

  constructor(region) {
    this.#region = region
  }

  say(text) {
    this.#region.textContent = text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text
  }
}
