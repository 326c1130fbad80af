// Light or dark: the system's wish, until the person says otherwise.

import { recall, remember } from "/static/js/lib/storage.js"

export class ThemeToggle {
  #button
  #system = matchMedia("(prefers-color-scheme: dark)")

  constructor(button) {
    this.#button = button
    button.addEventListener("click", () => this.#switch())
    this.#system.addEventListener("change", () => this.#show())
    this.#show()
  }

  get #dark() {
    return (recall("theme") ?? (this.#system.matches ? "dark" : "light")) === "dark"
  }

  #switch() {
    const theme = this.#dark ? "light" : "dark"
    remember("theme", theme)
    document.documentElement.dataset.theme = theme
    this.#show()
  }

  #show() {
    this.#button.setAttribute("aria-pressed", String(this.#dark))
  }
}
