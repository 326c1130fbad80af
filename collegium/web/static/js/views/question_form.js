// Ask an earlier question in other words. The conversation so far stays in the list.

import { element } from "/static/js/lib/dom.js"
import { elementId } from "/static/js/lib/ids.js"

export function questionForm(question, { submit, cancel }) {
  const hint = elementId("edit")
  const words = element("textarea", { class: "question__words", rows: Math.min(12, question.split("\n").length + 1), dir: "auto", "aria-label": "The question in other words", "aria-describedby": hint, onkeydown })
  words.value = question
  const form = element("form", { class: "question__form", onsubmit },
    element("h2", { class: "visually-hidden" }, "The question in other words"), words,
    element("p", { class: "question__hint", id: hint }, "It is asked in a copy of the conversation up to here; this one stays in the list."),
    element("div", { class: "question__buttons" },
      element("button", { class: "button", type: "button", onclick: cancel }, "Cancel"),
      element("button", { class: "button button--strong", type: "submit" }, "Ask this")))

  function onsubmit(event) {
    event.preventDefault()
    if (words.value.trim()) submit(words.value.trim())
  }

  function onkeydown(event) {
    if (event.isComposing) return
    if (event.key === "Escape") {
      event.stopPropagation()
      cancel()
    } else if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault()
      form.requestSubmit()
    }
  }

  return form
}
