// What answers cost: by expert, application, key or day, in a time to choose.

import { element } from "/static/js/lib/dom.js"
import { compact, day, dollars, duration, percent, whole } from "/static/js/lib/format.js"
import { everyDay } from "/static/js/lib/scale.js"
import { queryOf } from "/static/js/models/place.js"
import { timeline } from "/static/js/console/charts.js"
import { button, empty, field, heading, link, note, select, share, table, tiles } from "/static/js/console/parts.js"

export const title = "Spend"
export const every = 30_000
const DAYS = [["7", "7 days"], ["30", "30 days"], ["90", "90 days"], ["365", "A year"]]
const BY = { expert: "Expert", application: "Application", owner: "Key", team: "Team", day: "Day" }
const NAMED = { owner: "operator, or no key", team: "no team", application: "no application" }
const MOST = 200
// Only where the response cache has answered something.
const FROM_CACHE = [
  { name: "From cache", cell: ({ cached }) => whole(cached), number: true },
  { name: "Saved", cell: ({ saved_usd: usd }) => dollars(usd), number: true },
]

// Only where experts failed that may bill it.
const FAILED_ATTEMPTS = { name: "Failed attempts", cell: ({ failed_attempts: count }) => whole(count), number: true }

export async function load({ api, place: { params } }) {
  const { by = "expert", days = "30", ...filters } = params
  const since = new Date(Date.now() - (Number(days) - 1) * 86_400_000).toISOString().slice(0, 10)
  const [rows, perDay] = await Promise.all([
    api.get(`/v1/usage${queryOf({ ...filters, since, by, limit: MOST })}`),
    api.get(`/v1/usage${queryOf({ ...filters, since, by: "day", limit: 400 })}`),
  ])
  return { rows, perDay }
}

export function view({ rows, perDay }, page) {
  const { params } = page.place
  const { by = "expert", days = "30", ...filters } = params
  const to = changes => page.go("spend", null, { ...params, ...changes })
  const { total } = rows
  return [
    heading(title,
      field("By", select("by", Object.entries(BY).filter(([name]) => !["owner", "team"].includes(name) || page.caller.role !== "caller"), by, value => to({ by: value }))),
      field("Time", select("days", DAYS, days, value => to({ days: value })))),
    narrowed(filters, page, { by, days }),
    tiles(
      { name: "Spent", value: dollars(total.cost_usd) },
      { name: "Requests", value: compact(total.requests) },
      { name: "A thousand requests cost", value: total.requests ? dollars(1000 * total.cost_usd / total.requests) : "–" },
      { name: "Tokens in / out", value: `${compact(total.prompt_tokens)} / ${compact(total.completion_tokens)}` },
    ),
    total.requests === 0
      ? empty("Nothing was asked in this time.", "Choose a longer time, or send a request.")
      : [
          element("div", { class: "charts" },
            timeline({ title: "Spent a day", points: points(perDay, row => row.cost_usd), format: dollars, total: dollars(total.cost_usd) }),
            timeline({ title: "Requests a day", points: points(perDay, row => row.requests), format: compact, total: compact(total.requests) }),
            timeline({ title: "Tokens a day", points: points(perDay, row => row.prompt_tokens + row.completion_tokens), format: compact, total: compact(total.prompt_tokens + total.completion_tokens) })),
          table({ caption: `Spend by ${BY[by]?.toLowerCase() ?? by}`, rows: rows.data, columns: columns(by, total, params) }),
        ],
    rows.has_more && note(`The ${MOST} dearest are shown; the sums above count all.`),
    total.unpriced > 0 && note(`${whole(total.unpriced)} answers have no known price and count as $0.`),
  ].flat()
}

function columns(by, total, { days = "30" }) {
  return [
    { name: BY[by] ?? by, cell: row => name(by, row, days) },
    { name: "Share of spend", cell: ({ cost_usd: usd }) => share(total.cost_usd ? usd / total.cost_usd : 0) },
    { name: "Spent", cell: ({ cost_usd: usd }) => dollars(usd), number: true },
    { name: "Requests", cell: ({ requests }) => whole(requests), number: true },
    { name: "Failed", cell: ({ errors, requests }) => requests ? percent(errors / requests) : "–", number: true },
    { name: "Tokens in", cell: ({ prompt_tokens: tokens }) => compact(tokens), number: true },
    { name: "Tokens out", cell: ({ completion_tokens: tokens }) => compact(tokens), number: true },
    { name: "Mean latency", cell: ({ mean_latency_ms: ms }) => duration(ms), number: true },
    ...total.failed_attempts > 0 ? [FAILED_ATTEMPTS] : [],
    ...total.cached > 0 ? FROM_CACHE : [],
  ]
}

// One step down: from an expert to its applications, from others to their experts.
function name(by, row, days) {
  const value = row[by]
  if (by === "day") return day(value)
  const text = value || NAMED[by] || "–"
  if (value === "") return text
  return link(text, "spend", null, { by: by === "expert" ? "application" : "expert", days, [by]: value })
}

function narrowed(filters, page, stay) {
  const set = Object.entries(filters).filter(([, value]) => value)
  if (set.length === 0) return null
  return element("p", { class: "note" }, "Only ", ...set.flatMap(([by, value], i) => [i > 0 && ", ", `${(BY[by] ?? by).toLowerCase()} `, element("strong", {}, value)]), ". ",
    button("Show all", () => page.go("spend", null, stay), { key: "all" }))
}

function points({ since, before, data }, value) {
  const known = new Map(data.map(row => [row.day, value(row)]))
  return everyDay(since, before).map(at => ({ name: day(at), value: known.get(at) ?? null }))
}
