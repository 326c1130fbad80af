// The best candidates with what was forecast for each.

import { element } from "/static/js/lib/dom.js"
import { duration, energy, long, money, UNKNOWN } from "/static/js/lib/format.js"
import { level } from "/static/js/views/level.js"
import { namePlate } from "/static/js/views/name_plate.js"
import { tint } from "/static/js/views/tint.js"

const SHOWN = 5
const WAIT = "candidates__wait"

export function candidatesTable(decision, roster) {
  const top = topCandidates(decision)
  const waits = top.some(({ wait_ms: wait }) => long(wait))
  const rows = top.map(forecast => row(forecast, { decision, roster, waits }))
  return element("table", { class: "candidates" },
    element("caption", { class: "why__heading" }, "Candidates, as forecast"),
    element("thead", {}, element("tr", {}, ...columns(waits))),
    element("tbody", {}, ...rows))
}

function columns(waits) {
  const head = (name, attributes) => element("th", { scope: "col", ...attributes }, name)
  return [
    ...["Expert", "Quality", "Cost", "Latency"].map(name => head(name)),
    waits && head("Of it waiting", { class: WAIT }),
    head("Energy"),
  ]
}

// The chosen one is always among them, also where a person named it against the forecast.
function topCandidates({ expert, forecasts }) {
  const top = forecasts.slice(0, SHOWN)
  const chosen = forecasts.find(forecast => forecast.expert === expert)
  return !chosen || top.includes(chosen) ? top : [...top.slice(0, -1), chosen]
}

function row(forecast, { decision, roster, waits }) {
  const expert = roster.find(forecast.expert)
  const chosen = forecast.expert === decision.expert
  const cells = element("tr", { "data-chosen": chosen, "data-unfit": forecast.feasible === false, title: forecast.note || null },
    element("th", { scope: "row" }, namePlate(expert)),
    element("td", {}, level(forecast.quality)),
    element("td", {}, money(forecast.cost_usd)),
    element("td", {}, duration(forecast.latency_ms)),
    waits && element("td", { class: WAIT }, long(forecast.wait_ms) ? duration(forecast.wait_ms) : UNKNOWN),
    element("td", {}, energy(forecast.energy_j)))
  return tint(cells, expert)
}
