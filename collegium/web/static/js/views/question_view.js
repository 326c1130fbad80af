// A question: its words, what goes along with it, and the ways to copy it or to ask it in other words.

import { element, fill, icon } from "/static/js/lib/dom.js"
import { attachmentView } from "/static/js/views/attachment_view.js"
import { copyButton } from "/static/js/views/copy_button.js"
import { questionForm } from "/static/js/views/question_form.js"

const LONGEST = 1_200
const MOST_LINES = 16

export class QuestionView {
  #exchange
  #page
  #edit = element("button", { class: "button button--quiet", type: "button", onclick: () => this.#open() }, icon("edit"), "Edit")
  #words
  #read

  constructor(exchange, page) {
    this.#exchange = exchange
    this.#page = page
    const { question, attachments } = exchange
    this.#words = element("h2", { class: "exchange__question", dir: "auto" }, question || attachments.map(({ name }) => name).join(", "))
    this.#read = [
      this.#words, long(question) && this.#unfold(),
      attachments.length > 0 && element("div", { class: "attachments" }, ...attachments.map(attachmentView)),
      element("div", { class: "question__actions", role: "group", "aria-label": "This question" },
        this.#edit, copyButton(() => question, page.announcer, { label: "Copy the question" })),
    ]
    this.element = element("div", { class: "question" }, this.#read)
  }

  // A long question is shown by its first lines.
  #unfold() {
    const button = element("button", { class: "button button--quiet question__unfold", type: "button", "aria-expanded": "false", onclick: () => {
      const folded = this.#words.toggleAttribute("data-folded")
      button.setAttribute("aria-expanded", String(!folded))
      fill(button, folded ? "Show all" : "Show less")
    } }, "Show all")
    this.#words.toggleAttribute("data-folded", true)
    return button
  }

  #open() {
    const form = questionForm(this.#exchange.question, {
      submit: question => this.#page.edit(this.#exchange, question),
      cancel: () => this.#close(),
    })
    fill(this.element, form)
    form.querySelector("textarea").focus()
  }

  #close() {
    fill(this.element, this.#read)
    this.#edit.focus()
  }
}

function long(question) {
  return question.length > LONGEST || question.split("\n").length > MOST_LINES
}
