// What is about to go along with the question: looked at, described, taken away.

import { element, fill, icon } from "/static/js/lib/dom.js"

const UNKNOWN = "It is not known whether an expert here takes images."
const NONE = "No expert that may answer takes images."

export class AttachmentTray {
  #node
  #draft
  #takesImages
  #announcer
  #shown = new Map()
  #list = element("ul", { class: "tray__list", "aria-label": "Goes along with the question" })
  #note = element("p", { class: "tray__note" })

  constructor(node, { draft, takesImages, announcer }) {
    this.#node = node
    this.#draft = draft
    this.#takesImages = takesImages
    this.#announcer = announcer
    fill(node, this.#list, this.#note)
    draft.addEventListener("change", () => this.show())
    this.show()
  }

  show() {
    const { attachments, problem } = this.#draft
    for (const [attachment, item] of this.#shown) if (!attachments.includes(attachment)) this.#drop(attachment, item)
    for (const attachment of attachments) if (!this.#shown.has(attachment)) this.#add(attachment)
    this.#say(problem || this.#doubt())
    this.#list.hidden = attachments.length === 0
    this.#node.hidden = attachments.length === 0 && !problem
  }

  #doubt() {
    if (!this.#draft.hasImages) return ""
    return { yes: "", no: NONE, unknown: UNKNOWN }[this.#takesImages()]
  }

  #say(words) {
    if (words && words !== this.#note.textContent) this.#announcer.say(words)
    fill(this.#note, words)
  }

  #add(attachment) {
    const { name } = attachment
    const remove = element("button", { class: "button button--quiet", type: "button", title: "Remove", "aria-label": `Remove ${name}`, onclick: () => this.#remove(attachment) }, icon("close"))
    const item = element("li", { class: "tray__item" }, ...this.#face(attachment), remove)
    this.#shown.set(attachment, item)
    this.#list.append(item)
    this.#announcer.say(`Attached: ${name}`)
  }

  #face(attachment) {
    const { kind, name, url, alt } = attachment
    if (kind === "text") return [element("span", { class: "tray__name", dir: "auto" }, name)]
    const describe = event => this.#draft.describe(attachment, event.target.value)
    return [
      element("img", { class: "tray__image", src: url, alt: "" }),
      element("input", { class: "tray__alt", value: alt, maxlength: 500, placeholder: "Describe it (optional)", "aria-label": `Description of ${name}`, title: name, oninput: describe }),
    ]
  }

  #remove(attachment) {
    this.#draft.remove(attachment)
    const next = this.#list.querySelector("button") ?? document.getElementById("question")
    next.focus()
  }

  #drop(attachment, item) {
    this.#shown.delete(attachment)
    item.remove()
  }
}
