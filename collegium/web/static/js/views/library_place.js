// Where the list is: docked beside the page on wide windows, in a dialog over it on others.

import { recall, remember } from "/static/js/lib/storage.js"

export class LibraryPlace {
  #panel
  #dialog
  #button
  #home
  #wide = matchMedia("(min-width: 64rem)")

  constructor({ panel, dialog, button }) {
    this.#panel = panel
    this.#dialog = dialog
    this.#button = button
    this.#home = panel.parentElement
    button.addEventListener("click", () => this.#toggle())
    panel.querySelector("[data-part=close]").addEventListener("click", () => this.#toggle())
    dialog.addEventListener("close", () => this.#show())
    dialog.addEventListener("click", event => { if (event.target === dialog) dialog.close() })
    this.#wide.addEventListener("change", () => this.#show())
    this.#show()
  }

  // Over the page, it makes room for what was chosen in it.
  leave() {
    if (this.#dialog.open) this.#dialog.close()
  }

  get #docked() {
    return this.#wide.matches && recall("library") === "open"
  }

  #toggle() {
    if (this.#wide.matches) {
      remember("library", this.#docked ? "closed" : "open")
      this.#show()
      if (!this.#docked) this.#button.focus()
    } else if (this.#dialog.open) {
      this.#dialog.close()
    } else {
      this.#dialog.append(this.#panel)
      this.#panel.hidden = false
      this.#dialog.showModal()
      this.#button.setAttribute("aria-expanded", "true")
    }
  }

  #show() {
    if (this.#wide.matches && this.#dialog.open) return this.#dialog.close()
    const docked = this.#docked
    if (this.#panel.parentElement !== this.#home) this.#home.insertBefore(this.#panel, this.#home.querySelector("main"))
    this.#panel.hidden = !docked
    this.#home.toggleAttribute("data-library", docked)
    this.#button.setAttribute("aria-expanded", String(docked))
  }
}
