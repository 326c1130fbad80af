// What routing saves and loses: on replayed prompts, on rated answers, and whether forecasts are met.

import { element } from "/static/js/lib/dom.js"
import { dollars, margin, percent, points, UNKNOWN, whole } from "/static/js/lib/format.js"
import { operatorOnly } from "/static/js/console/access.js"
import { calibrationPlot, tradeoff } from "/static/js/console/charts.js"
import { code, empty, heading, link, note, section, table, tiles } from "/static/js/console/parts.js"

export const title = "Quality"
export const every = 60_000

export async function load({ api }) {
  const [live, versions] = await Promise.all([
    api.get("/v1/usage/comparison"),
    operatorOnly(api.get("/v1/router/versions")),
  ])
  const id = reported(versions)
  const version = id ? await operatorOnly(api.get(`/v1/router/versions/${encodeURIComponent(id)}`)) : null
  return { live, version }
}

export function view({ live, version }) {
  return [
    heading(title),
    section("On rated answers", ...rated(live)),
    section("On replayed prompts", ...replayed(version)),
    section("Are forecasts met?", ...met(live.calibration)),
  ]
}

// The version that serves, else the newest one.
function reported(versions) {
  const fitted = versions?.data.filter(({ run_id: run }) => run !== null) ?? []
  return (fitted.find(({ id }) => id === versions.serving) ?? fitted[0])?.id ?? null
}

function rated({ enough, compared, needed, marks, comparison: found }) {
  if (!enough) {
    return [empty("Not enough marks.",
      `${whole(marks)} routed answers were rated, ${whole(compared)} of them can be compared, and ${whole(needed)} are needed to say who is best.`,
      element("span", {}, "Rate answers on the chat page or by ", code("POST /v1/feedback"), ", or replay recorded prompts with ", code("collegium learn"), "."))]
  }
  const { figures } = found
  return [
    tiles(
      { name: `Quality beside ${found.best_single}, always`, value: `${points(-figures.loss_points)} points`, more: `${margin(figures.margin_points)} (95 %)` },
      { name: "Saved beside it", value: percent(figures.saved), more: interval(figures.saved_interval) },
      { name: "Above random at equal cost", value: `${points(found.above_random_points)} points`, more: `${margin(found.above_random_margin_points)} (95 %)` },
      { name: "Rests on", value: `${whole(compared)} marks`, more: `${percent(figures.unmeasured)} of answers have a forecast in the place of a mark` },
    ),
    plotOf("Cost and quality, rated answers", found.experts, [
      { name: "as routed", kind: "policy", x: figures.usd_per_1k, y: found.quality },
    ]),
    note("Each request was answered by one expert: what the others would have answered is forecast, and the margins count that."),
  ]
}

export function replayed(version) {
  const report = version?.report
  if (!report) return [empty("No learning run has ended yet.", element("span", {}, "Replay recorded prompts to all experts: ", code("collegium learn"), ". It says beforehand what that costs."))]
  const best = report.experts.find(({ expert }) => expert === report.best_single)
  return [
    note("Router ", link(version.id, "routers", version.id), ` on ${whole(report.prompts)} prompts with ${whole(report.marks)} marks`,
      report.confirmed ? "." : ", which too few people confirmed: nothing is promised. Confirm some under Marks."),
    table({ caption: "Policies", rows: Object.entries(report.policies), columns: [
      { name: "Policy", cell: ([name]) => element("span", { class: "name" }, name) },
      { name: `Quality beside ${report.best_single}, points`, cell: ([, p]) => `${points(-p.loss_points)} ${margin(p.margin_points)}`, number: true },
      { name: "Saved", cell: ([, p]) => [percent(p.saved), p.saved_interval && element("span", { class: "sub" }, interval(p.saved_interval))], number: true },
      { name: "$ per 1,000", cell: ([, p]) => dollars(p.usd_per_1k), number: true },
      { name: "Promised", cell: ([, p]) => p.promised === undefined ? UNKNOWN : p.promised ? "yes" : "no", number: true },
    ] }),
    note(`Random choice at balanced's cost reaches ${percent(report.random_at_equal_cost)}; ${percent(report.ceiling)} of the prompts are answered right by somebody.`),
    plotOf("Cost and quality, replayed prompts", report.experts, Object.entries(report.policies).map(([name, p]) => ({
      name, kind: "policy", x: p.usd_per_1k, y: best.quality - p.loss_points / 100,
    }))),
    ...report.warnings.map(words => note(words)),
  ]
}

function plotOf(title, experts, policies) {
  const dots = [...experts.map(({ expert, quality, usd_per_1k: usd }) => ({ name: expert, kind: "expert", x: usd, y: quality })), ...policies]
    .filter(({ x, y }) => Number.isFinite(x) && Number.isFinite(y))
  if (dots.length < 2) return note("A price is missing, so there is nothing to plot.")
  return tradeoff({ title, dots, x: { name: "$ per 1,000 requests", format: dollars }, y: { name: "Quality", format: percent } })
}

function met(calibration) {
  if (!calibration) return [empty("No marks yet.", "Forecasts of rated answers are compared with their marks here.")]
  return [
    note(`Over ${whole(calibration.marks)} rated answers the forecast is off by ${percent(calibration.expected_error)} on average. Below the line experts did worse than forecast.`),
    calibrationPlot({ title: "Forecast and mark", bins: calibration.bins, format: percent }),
  ]
}

function interval(range) {
  return range ? `${percent(range[0])} to ${percent(range[1])} (95 %)` : null
}
