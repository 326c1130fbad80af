// The best candidates with what was forecast for each.

import { element } from "/static/js/lib/dom.js"
import { duration, energy, money } from "/static/js/lib/format.js"
import { level } from "/static/js/views/level.js"
import { namePlate } from "/static/js/views/name_plate.js"
import { tint } from "/static/js/views/tint.js"

const SHOWN = 5
const COLUMNS = ["Expert", "Quality", "Cost", "Latency", "Energy"]

export function candidatesTable(decision, roster) {
  const rows = topCandidates(decision).map(forecast => row(forecast, decision, roster))
  return element("table", { class: "candidates" },
    element("caption", { class: "why__heading" }, "Candidates, as forecast"),
    element("thead", {}, element("tr", {}, ...COLUMNS.map(name => element("th", { scope: "col" }, name)))),
    element("tbody", {}, ...rows))
}

// The chosen one is always among them, also where a person named it against the forecast.
function topCandidates({ expert, forecasts }) {
  const top = forecasts.slice(0, SHOWN)
  const chosen = forecasts.find(forecast => forecast.expert === expert)
  return !chosen || top.includes(chosen) ? top : [...top.slice(0, -1), chosen]
}

function row(forecast, decision, roster) {
  const expert = roster.find(forecast.expert)
  const chosen = forecast.expert === decision.expert
  const cells = element("tr", { "data-chosen": chosen, "data-unfit": forecast.feasible === false, title: forecast.note || null },
    element("th", { scope: "row" }, namePlate(expert)),
    element("td", {}, level(forecast.quality)),
    element("td", {}, money(forecast.cost_usd)),
    element("td", {}, duration(forecast.latency_ms)),
    element("td", {}, energy(forecast.energy_j)))
  return tint(cells, expert)
}
