// Ask for the service's API key; answers null where the person would rather not.

const FIRST = "Enter the service's API key. It stays in this browser."
const REFUSED = "The service refused that key. Enter another one."

export class KeyPrompt {
  #dialog
  #input
  #resolve = null

  constructor(dialog) {
    this.#dialog = dialog
    this.#input = dialog.querySelector("input")
    dialog.querySelector("form").addEventListener("submit", event => this.#accept(event))
    dialog.querySelector("[data-cancel]").addEventListener("click", () => dialog.close())
    dialog.addEventListener("close", () => this.#answer(null))
  }

  ask({ refused }) {
    this.#dialog.querySelector("#key-prompt-text").textContent = refused ? REFUSED : FIRST
    this.#input.value = ""
    this.#dialog.showModal()
    this.#input.focus()
    return new Promise(resolve => { this.#resolve = resolve })
  }

  #accept(event) {
    event.preventDefault()
    this.#answer(this.#input.value.trim() || null)
    this.#dialog.close()
  }

  #answer(key) {
    this.#resolve?.(key)
    this.#resolve = null
  }
}
