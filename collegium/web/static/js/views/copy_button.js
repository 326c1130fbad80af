// Copy a text and say so.

import { element, fill, icon, visuallyHidden } from "/static/js/lib/dom.js"
import { copyText } from "/static/js/lib/clipboard.js"

const SHOWN_MS = 1_600

export function copyButton(textOf, announcer, { label = "Copy" } = {}) {
  const button = element("button", { class: "button button--quiet", type: "button", title: label, onclick: copy },
    icon("copy"), visuallyHidden(label))

  async function copy() {
    try {
      await copyText(textOf())
    } catch (error) {
      if (!(error instanceof DOMException)) throw error
      return announcer.say("The browser refused to copy.")
    }
    announcer.say("Copied.")
    fill(button, icon("check"), visuallyHidden("Copied"))
    setTimeout(() => fill(button, icon("copy"), visuallyHidden(label)), SHOWN_MS)
  }

  return button
}
