// What was decided, live and past: a list with filters, and one decision with its reasons.

import { element } from "/static/js/lib/dom.js"
import { dollars, duration, energy, moment, percent, UNKNOWN, whole } from "/static/js/lib/format.js"
import { queryOf } from "/static/js/models/place.js"
import { button, chip, code, empty, facts, field, heading, input, link, note, section, select, share, table } from "/static/js/console/parts.js"

export const title = "Decisions"
export const every = 5_000
const PAGE = 50
const CANDIDATES = 20
const AGES = { "": "Any time", 1: "Last hour", 24: "Last day", 168: "Last week" }
const STATES = [["", "Any"], ["open", "Under way"], ["ok", "Answered"], ["error", "Failed"], ["cancelled", "Cancelled"]]

export async function load({ api, place: { id, params }, kept }) {
  if (id !== null) return { one: await api.get(`/v1/decisions/${encodeURIComponent(id)}`) }
  const { age, ...filters } = params
  const since = age ? new Date(Math.floor(Date.now() / 60_000) * 60_000 - age * 3_600_000).toISOString() : null
  return { page: await api.get(`/v1/decisions${queryOf({ ...filters, since, after: kept.after, limit: PAGE })}`) }
}

export function view({ one, page: found }, page) {
  return one ? single(one, page) : list(found, page)
}

function list({ data, has_more: more }, page) {
  const { params } = page.place
  const filtered = Object.keys(params).length > 0
  const to = changes => {
    page.keep({ after: null, trail: [] })
    page.go("decisions", null, { ...params, ...changes })
  }
  const trail = page.kept.trail ?? []
  return [
    heading(title),
    filters(params, to, page.caller.role !== "caller"),
    table({ caption: "Decisions, newest first", rows: data, columns: columns(page.caller.role !== "caller"), none: filtered
      ? empty("No decision matches.", button("Clear the filters", () => page.go("decisions"), { key: "clear" }))
      : empty("No decisions yet.", element("span", {}, "Each request leaves one: ask something on the ", element("a", { href: "/" }, "chat page"), ".")) }),
    (more || trail.length > 0) && element("div", { class: "pager" },
      button("Newer", () => page.turn({ after: trail.at(-1) ?? null, trail: trail.slice(0, -1) }), { disabled: trail.length === 0 }),
      button("Older", () => page.turn({ after: data.at(-1).id, trail: [...trail, page.kept.after ?? null] }), { disabled: !more })),
  ]
}

function filters(params, to, operator) {
  const text = (name, label) => field(label, input(name, params[name] ?? "", { type: "search", onchange: event => to({ [name]: event.target.value.trim() }) }))
  return element("form", { class: "filters", onsubmit: event => event.preventDefault(), "aria-label": "Filters" },
    text("expert", "Expert"),
    text("application", "Application"),
    operator && text("owner", "Key"),
    text("session", "Session"),
    field("State", select("status", STATES, params.status ?? "", status => to({ status }))),
    field("Time", select("age", Object.entries(AGES), params.age ?? "", age => to({ age }))))
}

function columns(operator) {
  return [
    { name: "Time", cell: ({ id, decision }) => link(moment(decision.created_at), "decisions", id) },
    { name: "Expert", cell: ({ decision, outcome }) => [element("span", { class: "name" }, outcome?.expert ?? decision.expert), element("span", { class: "sub clip" }, decision.reason)] },
    { name: "State", cell: ({ outcome }) => outcome ? chip(outcome.status) : chip("under way", "wait") },
    { name: "Application", cell: ({ decision }) => decision.application ?? UNKNOWN },
    operator && { name: "Key", cell: ({ decision }) => decision.owner || "operator" },
    { name: "Latency", cell: ({ outcome }) => duration(outcome?.latency_ms), number: true },
    { name: "Cost", cell: ({ outcome }) => dollars(outcome?.cost_usd), number: true },
    { name: "Marks", cell: ({ feedback }) => marks(feedback), number: true },
  ].filter(Boolean)
}

function marks(feedback) {
  const scores = feedback.map(({ score }) => score).filter(score => score !== null)
  return scores.length > 0 ? percent(scores.reduce((a, b) => a + b) / scores.length) : UNKNOWN
}

function single({ decision, outcome, feedback, request, answer }, page) {
  const answered = outcome?.expert ?? decision.expert
  return [
    heading(`Decision ${decision.id}`, button("Back", () => history.back(), { key: "back" })),
    section("Why this expert",
      element("p", { class: "reason" }, decision.reason),
      answered !== decision.expert && note(`${decision.expert} was chosen; ${answered} answered.`),
      ...(outcome?.tried ?? []).map(({ expert, error }) => note(`${expert} was asked and did not answer: ${error}`)),
      facts({
        Expert: answered, Asked: moment(decision.created_at), "Asked for": decision.requested_model,
        Policy: decision.policy, Confidence: percent(decision.confidence),
        Application: decision.application && link(decision.application, "decisions", null, { application: decision.application }),
        Session: decision.session && link(decision.session, "decisions", null, { session: decision.session }),
        Key: page.caller.role !== "caller" ? decision.owner || "operator" : null,
        Router: decision.router, "Chance of this choice": percent(decision.propensity),
        Limits: limits(decision.limits),
      })),
    section("What came of it", outcome ? facts({
      State: chip(outcome.status), Error: outcome.error, Latency: duration(outcome.latency_ms), "First token": duration(outcome.ttft_ms),
      Waited: duration(outcome.waited_ms), Cost: dollars(outcome.cost_usd), Energy: energy(outcome.energy_j),
      Tokens: `${whole(outcome.prompt_tokens)} in, ${whole(outcome.completion_tokens)} out`,
    }) : note("The answer is under way.")),
    candidates(decision, page),
    outcome?.calls?.length > 0 && section("Calls of the panel", calls(outcome.calls)),
    section("What people thought", feedback.length > 0 ? opinions(feedback) : note("Nobody rated it: ", code("POST /v1/feedback"), " takes ratings.")),
    section("What was asked", ...[texts(decision.prompt, request, answer)].flat()),
  ]
}

function limits(given) {
  const set = Object.entries(given ?? {}).filter(([, value]) => value !== null && value !== false && !(Array.isArray(value) && value.length === 0))
  return set.length === 0 ? null : set.map(([name, value]) => `${name} ${typeof value === "object" ? JSON.stringify(value) : value}`).join(", ")
}

function candidates({ forecasts, expert }, page) {
  if (forecasts.length === 0) return null
  const shown = page.kept.all ? forecasts : forecasts.slice(0, CANDIDATES)
  return section("Candidates, as forecast",
    table({ caption: "Candidates, as forecast", rows: shown, columns: [
      { name: "Expert", cell: forecast => [element("span", { class: "name" }, forecast.expert), forecast.expert === expert && chip("chosen", "good")] },
      { name: "Chance to be right", cell: ({ quality }) => quality === null || quality === undefined ? UNKNOWN : share(quality) },
      { name: "Cost", cell: ({ cost_usd: usd }) => dollars(usd), number: true },
      { name: "Latency", cell: ({ latency_ms: ms }) => duration(ms), number: true },
      { name: "Waits", cell: ({ wait_ms: ms }) => duration(ms), number: true },
      { name: "Note", cell: ({ feasible, note: said }) => [feasible === false && chip("not eligible", "wait"), said ? ` ${said}` : ""] },
    ] }),
    forecasts.length > shown.length && button(`Show all ${whole(forecasts.length)}`, () => page.keep({ all: true }), { key: "all" }))
}

function calls(rows) {
  return table({ caption: "Calls of the panel", rows, columns: [
    { name: "Expert", cell: ({ expert, role }) => `${expert} (${role})` },
    { name: "State", cell: ({ status }) => chip(status) },
    { name: "Latency", cell: ({ latency_ms: ms }) => duration(ms), number: true },
    { name: "Cost", cell: ({ cost_usd: usd }) => dollars(usd), number: true },
  ] })
}

function opinions(rows) {
  return table({ caption: "What people thought", rows, columns: [
    { name: "When", cell: ({ created_at: at }) => moment(at) },
    { name: "Said", cell: ({ verdict, source }) => (verdict ?? source).replaceAll("_", " ") },
    { name: "Mark", cell: ({ score }) => percent(score), number: true },
    { name: "Comment", cell: ({ comment }) => comment ?? UNKNOWN },
  ] })
}

function texts(prompt, request, answer) {
  if (!prompt && !request) return note("No text is kept of it: see the setting ", code("record"), ".")
  const said = answer?.choices?.[0]?.message?.content
  return [
    element("pre", { class: "text", tabindex: "0" }, prompt ?? JSON.stringify(request, null, 2)),
    typeof said === "string" && element("pre", { class: "text", tabindex: "0" }, said),
  ].filter(Boolean)
}
