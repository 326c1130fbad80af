// The bench: one seat an expert, always in the same order, filled as high as its forecast quality.

import { element } from "/static/js/lib/dom.js"
import { tint } from "/static/js/views/tint.js"

export function bench(decision, roster) {
  const seats = [...decision.forecasts].sort((a, b) => a.expert.localeCompare(b.expert))
  return element("span", { class: "bench", "aria-hidden": "true" },
    ...seats.map(forecast => benchSeat(forecast, decision, roster)))
}

function benchSeat({ expert, quality }, decision, roster) {
  const seat = element("span", { class: "bench__seat", "data-chosen": expert === decision.expert })
  seat.style.setProperty("--level", quality ?? 0)
  return tint(seat, roster.find(expert))
}
