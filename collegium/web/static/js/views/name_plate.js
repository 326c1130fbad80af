// An expert's name beside its seat.

import { element } from "/static/js/lib/dom.js"
import { tint } from "/static/js/views/tint.js"

export function namePlate(expert) {
  const seat = element("span", { class: "seat", "aria-hidden": "true" }, expert.name.slice(0, 2))
  const name = element("span", { class: "plate__name" }, expert.name)
  return tint(element("span", { class: "plate" }, seat, name), expert)
}
