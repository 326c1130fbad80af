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
    fill(this.#select, group("The router", this.#roster.virtual), group("One expert", this.#roster.experts))
    this.#select.value = model
    if (this.#select.selectedIndex < 0) this.#select.value = "auto"
  }
}

function group(label, models) {
  return element("optgroup", { label }, ...models.map(option))
}

function option({ name, description }) {
  return element("option", { value: name, title: description || null }, name.replace("collegium/", ""))
}
