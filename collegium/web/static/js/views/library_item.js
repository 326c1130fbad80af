// One conversation in the list: open it, and behind a button rename, export or delete it.

import { element, fill, icon } from "/static/js/lib/dom.js"
import { elementId } from "/static/js/lib/ids.js"

const DAY_MS = 86_400_000

export class LibraryItem {
  #head
  #act
  #open = element("button", { class: "library__open", type: "button", onclick: () => this.#act.open(this.#head.id) })
  #more
  #drawer = element("div", { class: "library__drawer", id: elementId("drawer"), role: "group", hidden: true })

  constructor(head, act) {
    this.#act = act
    this.#more = element("button", { class: "button button--quiet", type: "button", "aria-expanded": "false", "aria-controls": this.#drawer.id, onclick: () => this.#toggle() }, icon("more"))
    this.element = element("li", { class: "library__item" }, element("div", { class: "library__row" }, this.#open, this.#more), this.#drawer)
    this.show(head, { current: false })
  }

  show(head, { current }) {
    this.#head = head
    const { title, updated } = head
    fill(this.#open, element("span", { class: "library__name", dir: "auto" }, title), element("span", { class: "library__date" }, when(updated)))
    this.#open.title = title
    if (current) this.#open.setAttribute("aria-current", "true")
    else this.#open.removeAttribute("aria-current")
    this.#more.setAttribute("aria-label", `More for ${title}`)
    this.#drawer.setAttribute("aria-label", title)
  }

  focus() {
    this.#open.focus()
  }

  #toggle() {
    const opening = this.#drawer.hidden
    this.#drawer.hidden = !opening
    this.#more.setAttribute("aria-expanded", String(opening))
    if (opening) this.#showActions()
  }

  #close() {
    if (!this.#drawer.hidden) this.#toggle()
    this.#more.focus()
  }

  #showActions() {
    const { id } = this.#head
    this.#fill(
      plainButton("Rename", () => this.#showRename()),
      plainButton("Export as Markdown", () => this.#act.export(id, "md")),
      plainButton("Export as JSON", () => this.#act.export(id, "json")),
      plainButton("Delete", () => this.#showDelete()))
  }

  #showRename() {
    const input = element("input", { class: "library__input", maxlength: 200, "aria-label": "New name", value: this.#head.title, dir: "auto" })
    const onsubmit = event => {
      event.preventDefault()
      this.#act.rename(this.#head.id, input.value)
      this.#close()
    }
    this.#fill(element("form", { class: "library__form", onsubmit }, input, element("button", { class: "button", type: "submit" }, "Rename")))
    input.select()
  }

  #showDelete() {
    const remove = element("button", { class: "button button--problem", type: "button", onclick: () => this.#act.remove(this.#head.id) }, "Delete for good")
    this.#fill(remove, element("button", { class: "button", type: "button", onclick: () => this.#close() }, "Keep"))
    remove.focus()
  }

  #fill(...children) {
    fill(this.#drawer, ...children)
    this.#drawer.querySelector("button, input").focus()
  }
}

function plainButton(label, onclick) {
  return element("button", { class: "button button--quiet", type: "button", onclick }, label)
}

function when(time) {
  const recent = Date.now() - time < DAY_MS
  return new Intl.DateTimeFormat(undefined, recent ? { timeStyle: "short" } : { dateStyle: "medium" }).format(time)
}
