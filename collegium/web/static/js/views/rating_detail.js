// The little form under a thumb down: too weak or failed, and a word about it.

import { element } from "/static/js/lib/dom.js"
import { elementId } from "/static/js/lib/ids.js"

const VERDICTS = [["underpowered", "Too weak for this"], ["failed", "Failed"]]
const LONGEST_COMMENT = 500

export function ratingDetail(submit) {
  const group = elementId("verdict")
  const form = element("form", { class: "rating__detail", hidden: true, onsubmit },
    element("fieldset", {},
      element("legend", { class: "visually-hidden" }, "How bad was it?"),
      ...VERDICTS.map(([value, label]) => option(group, value, label))),
    element("input", { class: "rating__comment", name: "comment", maxlength: LONGEST_COMMENT,
      placeholder: "What was wrong? (optional)", "aria-label": "What was wrong? (optional)", autocomplete: "off" }),
    element("button", { class: "button", type: "submit" }, "Add"))

  function onsubmit(event) {
    event.preventDefault()
    const fields = new FormData(form)
    submit(fields.get(group), fields.get("comment").trim())
  }

  return form
}

function option(name, value, label) {
  return element("label", { class: "rating__verdict" },
    element("input", { type: "radio", name, value, checked: value === "underpowered" }), label)
}
