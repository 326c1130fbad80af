// How the service does: today in figures, a month in pictures, and what needs a person.

import { element } from "/static/js/lib/dom.js"
import { compact, day, dollars, duration, percent, whole } from "/static/js/lib/format.js"
import { everyDay } from "/static/js/lib/scale.js"
import { timeline } from "/static/js/console/charts.js"
import { code, empty, heading, link, section, share, table, tiles } from "/static/js/console/parts.js"
import { operatorOnly } from "/static/js/console/access.js"

export const title = "Overview"
export const every = 15_000

export async function load({ api }) {
  const [days, experts, statuses, alarms] = await Promise.all([
    api.get("/v1/usage?by=day&limit=100"),
    api.get("/v1/usage?by=expert&limit=8"),
    api.get("/v1/experts/status"),
    operatorOnly(api.get("/v1/alarms?limit=5")),
  ])
  return { days, experts, statuses: statuses.data, alarms: alarms?.data ?? null }
}

export function view({ days, experts, statuses, alarms }) {
  const able = statuses.filter(({ state, breaker }) => ["ready", "remote"].includes(state) && breaker !== "open")
  const today = days.data.at(-1)?.day === lastDay(days) ? days.data.at(-1) : null
  return [
    heading(title),
    alarms?.length > 0 && section("Open alarms",
      element("ul", { class: "plain" }, ...alarms.map(({ detail, kind }) => element("li", {}, element("strong", {}, `${kind.replaceAll("_", " ")}: `), detail))),
      element("p", {}, link("See to the alarms", "alarms"))),
    tiles(
      { name: "Requests today", value: whole(today?.requests ?? 0), more: `${compact(days.total.requests)} in 30 days` },
      { name: "Spent today", value: dollars(today?.cost_usd ?? 0), more: `${dollars(days.total.cost_usd)} in 30 days` },
      { name: "Failed today", value: today ? percent(today.errors / today.requests) : "–", more: `${percent(rate(days.total))} in 30 days` },
      { name: "Experts that can answer", value: `${able.length} of ${statuses.length}` },
      alarms && { name: "Open alarms", value: whole(alarms.length) },
    ),
    days.total.requests === 0 ? nothing(statuses) : element("div", { class: "charts" }, ...pictures(days)),
    experts.data.length > 0 && section("Who answered, 30 days", table({
      caption: "Experts by spend in 30 days", rows: experts.data, columns: [
        { name: "Expert", cell: ({ expert }) => link(expert, "decisions", null, { expert }) },
        { name: "Share of requests", cell: ({ requests }) => share(requests / days.total.requests) },
        { name: "Requests", cell: ({ requests }) => whole(requests), number: true },
        { name: "Spent", cell: ({ cost_usd: usd }) => dollars(usd), number: true },
        { name: "Failed", cell: row => percent(rate(row)), number: true },
        { name: "Mean latency", cell: row => duration(row.mean_latency_ms), number: true },
      ],
    })),
    days.total.unpriced > 0 && element("p", { class: "note" }, `${whole(days.total.unpriced)} answers have no known price and count as $0: state prices with `, code("collegium expert update NAME --input-price … --output-price …"), "."),
  ]
}

function pictures({ since, before, data, total }) {
  const known = new Map(data.map(row => [row.day, row]))
  const points = value => everyDay(since, before).map(at => ({ name: day(at), value: known.has(at) ? value(known.get(at)) : null }))
  return [
    timeline({ title: "Requests a day", points: points(row => row.requests), format: compact, total: compact(total.requests) }),
    timeline({ title: "Spent a day", points: points(row => row.cost_usd), format: dollars, total: dollars(total.cost_usd) }),
    timeline({ title: "Mean latency a day", points: points(row => row.mean_latency_ms), format: duration, total: duration(total.mean_latency_ms) }),
  ]
}

function nothing(statuses) {
  if (statuses.length === 0) return empty("No experts yet.", element("span", {}, "Register one: ", code("collegium expert add NAME --kind openai --base-url URL --model MODEL")))
  return empty("No requests in 30 days.",
    element("span", {}, "Ask something on the ", element("a", { href: "/" }, "chat page"), ", or point an application at ", code(`${location.origin}/v1`), "."))
}

function rate({ errors, requests }) {
  return requests ? errors / requests : null
}

// `before` is the day after the last one.
function lastDay({ before }) {
  return new Date(Date.parse(`${before}T00:00:00Z`) - 86_400_000).toISOString().slice(0, 10)
}
