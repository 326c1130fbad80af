// A share of one as a bar with its number.

import { element } from "/static/js/lib/dom.js"
import { percent } from "/static/js/lib/format.js"

export function level(share) {
  const bar = element("span", { class: "level__bar", "aria-hidden": "true" })
  bar.style.setProperty("--level", share ?? 0)
  return element("span", { class: "level" }, bar, element("span", { class: "level__number" }, percent(share)))
}
