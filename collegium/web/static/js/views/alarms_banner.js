// A banner with the open alarms, for the operator.

import { element, fill } from "/static/js/lib/dom.js"

export class AlarmsBanner {
  constructor(node, alarms) {
    alarms.addEventListener("change", () => show(node, alarms.open))
    show(node, alarms.open)
  }
}

function show(node, open) {
  node.hidden = open.length === 0
  fill(node, open.map(({ id, detail }) => element("p", { class: "alarms__alarm" },
    `Alarm: ${detail}. `, element("code", {}, `collegium alarms close ${id}`),
  )))
}
