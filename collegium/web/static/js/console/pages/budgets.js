// Budgets and limits: what keys, teams and applications may use, and what they have used.

import { element } from "/static/js/lib/dom.js"
import { compact, dollars, energy, moment, whole } from "/static/js/lib/format.js"
import { button, code, empty, heading, link, note, share, table } from "/static/js/console/parts.js"

export const title = "Budgets"
export const every = 5_000
const SCOPES = [["key", "Key"], ["team", "Team"], ["application", "Application"]]
const METRICS = {
  usd: ["Dollars", dollars], tokens: ["Tokens", compact], joules: ["Joules", energy], requests: ["Requests", whole],
  parallel: ["Requests at once", whole], n: ["Largest n", whole], panel: ["Largest panel", whole],
  max_tokens: ["Largest max_tokens", whole], stored_bytes: ["Stored bytes", compact],
}
const COUNTED = ["usd", "tokens", "joules", "requests"]
const EACH = { minute: "a minute", hour: "an hour", day: "a day", week: "a week", month: "a month", total: "in all" }

export async function load({ api }) {
  return (await api.get("/v1/budgets")).data
}

export function view(budgets, page) {
  return [
    heading(title, page.operator && button("Set a budget", () => set(page), { strong: true, key: "set" })),
    table({ caption: "Budgets and limits", rows: [...budgets].sort((a, b) => part(b) - part(a)), columns: columns(page),
      none: empty("No budgets yet.", page.operator ? element("span", {}, "Set one here, or: ", code("collegium budget set"), ".") : "An operator sets them.") }),
    note("What is reserved belongs to answers under way: each may cost that much at most, and what it does not take is given back. Windows are in UTC."),
  ]
}

function columns(page) {
  return [
    { name: "Whose", cell: ({ scope, name }) => [element("span", { class: "name" }, name === "*" ? `each ${scope} without its own` : name), element("span", { class: "sub" }, scope)] },
    { name: "What", cell: ({ metric, window }) => `${METRICS[metric]?.[0] ?? metric}${window ? ` ${EACH[window] ?? `in ${window}`}` : ""}` },
    { name: "Used", cell: limit => limit.used === undefined ? "–" : share(part(limit), `${written(limit, limit.used)} of ${written(limit, limit.amount)}`) },
    { name: "Reserved", cell: limit => limit.reserved === undefined ? "–" : written(limit, limit.reserved), number: true },
    { name: "Left", cell: limit => limit.left === undefined ? written(limit, limit.amount) : written(limit, limit.left), number: true },
    { name: "Window ends", cell: ({ window_ends: at }) => at ? moment(at) : "–" },
    { name: "Spend", hidden: true, cell: ({ scope, name }) => name !== "*" && link("Spend", "spend", null, { [scope === "key" ? "owner" : scope]: name }) },
    page.operator && { name: "Actions", hidden: true, cell: limit => element("div", { class: "buttons" },
      button("Change", () => set(page, limit), { key: `change-${id(limit)}`, label: `Change ${id(limit)}` }),
      button("Remove", () => remove(limit, page), { key: `remove-${id(limit)}`, label: `Remove ${id(limit)}` })) },
  ].filter(Boolean)
}

function written({ metric }, amount) {
  return (METRICS[metric]?.[1] ?? whole)(amount)
}

function part({ used = 0, reserved = 0, amount }) {
  return amount > 0 ? (used + reserved) / amount : 0
}

function id({ scope, name, metric, window }) {
  return [scope, name, metric, window].filter(Boolean).join(" ")
}

async function set(page, limit = null) {
  const said = await page.ask({
    title: limit ? `Change ${id(limit)}` : "Set a budget", yes: "Set it",
    text: limit ? "The next request knows it." : "It counts from now on. The name * stands for each that has no limit of its own.",
    fields: [
      !limit && { name: "scope", label: "Of a", options: SCOPES },
      !limit && { name: "name", label: "Name", required: true, maxlength: 200 },
      !limit && { name: "metric", label: "What", options: Object.entries(METRICS).map(([name, [text]]) => [name, text]) },
      !limit && { name: "window", label: "Window (of dollars, tokens, joules and requests)", options: Object.entries(EACH) },
      { name: "amount", label: "At most", type: "number", min: 0, step: "any", required: true, value: limit?.amount ?? "" },
    ].filter(Boolean),
  })
  if (!said) return
  const { scope, name, metric, window } = limit ?? said
  page.act(() => page.api.send("PUT", "/v1/budgets", { scope, name, metric, window: COUNTED.includes(metric) ? window : "", amount: Number(said.amount) }), "The budget is set.")
}

async function remove(limit, page) {
  if (!await page.ask({ title: `Remove ${id(limit)}?`, text: "From then on nothing is refused for it.", yes: "Remove" })) return
  const { scope, name, metric, window } = limit
  const query = new URLSearchParams({ scope, name, metric, window })
  page.act(() => page.api.send("DELETE", `/v1/budgets?${query}`), "The budget is removed.")
}
