// What was forecast for the expert that answered, beside what it took.

import { element, visuallyHidden } from "/static/js/lib/dom.js"
import { duration, energy, long, money, whole } from "/static/js/lib/format.js"

const WAITING = ["Of it waiting", "wait_ms", "waited_ms", duration]
const MEASURES = [
  ["Latency", "latency_ms", "latency_ms", duration],
  WAITING,
  ["Cost", "cost_usd", "cost_usd", money],
  ["Energy", "energy_j", "energy_j", energy],
  ["Tokens", "output_tokens", "completion_tokens", whole],
]

export function measuresTable(decision, outcome, answered = decision.expert) {
  const forecast = decision.forecasts.find(({ expert }) => expert === answered) ?? {}
  const waits = long(forecast.wait_ms) || long(outcome?.waited_ms)
  const measures = MEASURES.filter(measure => measure !== WAITING || waits)
  return element("table", { class: "measures" },
    element("caption", { class: "why__heading" }, "Forecast and fact"),
    element("thead", {}, element("tr", {}, ...[visuallyHidden("Measure"), "Forecast", "Actual"].map(name => element("th", { scope: "col" }, name)))),
    element("tbody", {}, ...measures.map(measure => row(measure, forecast, outcome))))
}

function row([name, planned, actual, format], forecast, outcome) {
  return element("tr", {},
    element("th", { scope: "row" }, name),
    element("td", {}, format(forecast[planned])),
    element("td", {}, format(outcome?.[actual])))
}
