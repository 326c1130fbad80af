// Who answers: the router by one of its virtual models, or an expert by name.

import { element, fill } from "/static/js/lib/dom.js"

export class ModelChoice {
  #select
  #roster

  constructor(select, roster) {
    this.#select = select
    this.#roster = roster
    roster.addEventListener("change", () => this.#show())
  }

  get model() {
    return this.#select.value || "auto"
  }

  choose(name) {
    this.#select.value = name
  }

  #show() {
    const { model } = this
    const { virtual, experts } = this.#roster
    fill(this.#select,
      group("The router", virtual.filter(({ panel }) => !panel)),
      group("One expert", experts),
      group("A panel", virtual.filter(({ panel }) => panel)))
    this.#select.value = model
    if (this.#select.selectedIndex < 0) this.#select.value = "auto"
  }
}

function group(label, models) {
  return element("optgroup", { label }, ...models.map(option))
}

function option({ name, description }) {
  return element("option", { value: name, title: description || null }, name.replace("collegium/", "").replaceAll("_", " "))
}
