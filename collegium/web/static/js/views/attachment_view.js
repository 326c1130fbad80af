// What went along with a question, as it was sent.

import { element } from "/static/js/lib/dom.js"
import { whole } from "/static/js/lib/format.js"

export function attachmentView({ kind, name, alt, url, text }) {
  if (kind === "image") {
    return element("figure", { class: "attachment" },
      element("img", { class: "attachment__image", src: url, alt: alt || `Image ${name}` }),
      alt && element("figcaption", { class: "attachment__name" }, alt))
  }
  return element("details", { class: "attachment" },
    element("summary", { class: "attachment__name" }, `${name} · ${whole(text.length)} characters`),
    element("pre", { class: "attachment__text", tabindex: "0", role: "group", "aria-label": `Text of ${name}`, dir: "auto" }, text))
}
