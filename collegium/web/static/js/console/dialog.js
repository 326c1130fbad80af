// Ask before something is done that matters; answers the fields' values, or null.

import { element, fill } from "/static/js/lib/dom.js"
import { field } from "/static/js/console/parts.js"

export class Dialog {
  #node

  constructor(node) {
    this.#node = node
  }

  ask({ title, text, fields = [], yes, no = "Not now" }) {
    const controls = fields.map(control)
    return new Promise(resolve => {
      const form = element("form", { class: "key-prompt__form", method: "dialog", onsubmit: event => {
        event.preventDefault()
        resolve(Object.fromEntries(controls.map(({ name, read }) => [name, read()])))
        this.#node.close()
      } },
      element("h2", { class: "key-prompt__title", id: "dialog-title" }, title),
      element("p", { class: "key-prompt__text" }, text),
      ...controls.map(({ label, node }) => field(label, node)),
      element("div", { class: "key-prompt__buttons" },
        element("button", { class: "button", type: "button", onclick: () => this.#node.close() }, no),
        element("button", { class: "button button--strong", type: "submit" }, yes)))
      this.#node.addEventListener("close", () => resolve(null), { once: true })
      fill(this.#node, form)
      this.#node.showModal()
    })
  }
}

function control({ name, label, options, type = "text", value = "", ...attributes }) {
  if (options) {
    const node = element("select", { class: "field__control", name }, ...options.map(([key, text]) => element("option", { value: key }, text)))
    return { name, label, node, read: () => node.value }
  }
  const node = element("input", { class: type === "checkbox" ? "field__check" : "field__control", name, type, value, autocomplete: "off", ...attributes })
  return { name, label, node, read: () => type === "checkbox" ? node.checked : node.value.trim() }
}
