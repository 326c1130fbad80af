// Experts and engines: their state now, and what may be done about it.

import { element } from "/static/js/lib/dom.js"
import { money, percent, UNKNOWN, whole } from "/static/js/lib/format.js"
import { button, chip, code, empty, heading, input, link, note, section, table } from "/static/js/console/parts.js"

export const title = "Experts"
export const every = 5_000
const SHOWN = 100
const ABILITIES = ["images", "audio", "video", "files", "audio_output", "tools", "parallel_tools", "json_object", "json_schema", "reasoning"]

export async function load({ api }) {
  const [experts, statuses, engines] = await Promise.all(
    ["/v1/experts", "/v1/experts/status", "/v1/engines"].map(async path => (await api.get(path)).data))
  const known = new Map(statuses.map(each => [each.name, each]))
  return { experts: experts.map(each => ({ ...each, ...known.get(each.name) })), engines }
}

export function view({ experts, engines }, page) {
  const { filter = "", shown = SHOWN } = page.kept
  const found = experts.filter(({ name, description }) => `${name} ${description}`.toLowerCase().includes(filter.toLowerCase()))
  return [
    heading(title, experts.length > 5 && input("filter", filter, {
      type: "search", placeholder: `Search ${whole(experts.length)} experts`, "aria-label": "Search experts", oninput: event => page.keep({ filter: event.target.value, shown: SHOWN }),
    })),
    table({ caption: "Experts", rows: found.slice(0, shown), columns: columns(page), none: filter ? note(`No expert matches “${filter}”.`) : nobody() }),
    found.length > shown && button(`Show ${Math.min(SHOWN, found.length - shown)} more of ${whole(found.length)}`, () => page.keep({ shown: shown + SHOWN }), { key: "more" }),
    section("Engines of this process", table({
      caption: "Engines of this process", rows: engines, columns: engineColumns(page),
      none: note("This process runs no engines: all experts are remote, or another process runs them."),
    })),
  ]
}

function columns(page) {
  return [
    { name: "Expert", cell: ({ name, description }) => [element("span", { class: "name" }, name), description && element("span", { class: "sub" }, description)] },
    { name: "State", cell: state },
    { name: "Waiting", cell: ({ waiting }) => whole(waiting), number: true },
    { name: "Answering", cell: ({ in_flight: now }) => whole(now), number: true },
    { name: "Can", cell: abilities },
    { name: "$ per million in / out", cell: prices, number: true },
    { name: "Decisions", hidden: true, cell: ({ name }) => link("Decisions", "decisions", null, { expert: name }) },
    page.operator && { name: "Action", hidden: true, cell: expert => toggle(expert, page) },
  ].filter(Boolean)
}

function state({ state: now, detail, resident, breaker, paused_s: paused, lowered }) {
  return element("div", { class: "chips" },
    chip(now),
    resident !== null && resident !== undefined && now !== "disabled" && chip(resident ? "loaded" : "not loaded", "plain"),
    breaker !== "closed" && chip(`breaker ${breaker}`, breaker === "open" ? "bad" : "wait"),
    paused > 0 && chip(`paused for ${paused} s by its provider`, "wait"),
    lowered > 0 && chip(`forecasts lowered by ${percent(lowered)}`, "wait"),
    detail && now !== "ready" && element("span", { class: "sub" }, detail))
}

function abilities({ capabilities: kept = {} }) {
  const can = [...ABILITIES.filter(name => kept[name] === true), ...(kept.served ?? [])]
  return can.length > 0 ? can.join(", ").replaceAll("_", " ") : "text"
}

function prices({ input_price: input, output_price: output }) {
  if (input === null || input === undefined || output === null || output === undefined) return UNKNOWN
  return `${money(input)} / ${money(output)}`
}

function toggle({ name, enabled }, page) {
  const word = enabled ? "Disable" : "Enable"
  return button(word, () => page.act(() => page.api.send("PATCH", `/v1/experts/${encodeURIComponent(name)}`, { enabled: !enabled }), `${name} is ${enabled ? "disabled" : "enabled"}.`),
    { key: `toggle-${name}`, label: `${word} ${name}` })
}

function engineColumns(page) {
  return [
    { name: "Engine", cell: ({ name }) => element("span", { class: "name" }, name) },
    { name: "State", cell: ({ state: now, detail }) => element("div", { class: "chips" }, chip(now), detail && now !== "ready" && element("span", { class: "sub" }, detail)) },
    { name: "Answering", cell: ({ in_flight: now, max_sequences: most }) => `${whole(now)} of ${whole(most)}`, number: true },
    page.operator && { name: "Starts", cell: ({ starts }) => whole(starts), number: true },
    page.operator && { name: "Action", hidden: true, cell: engine => restart(engine, page) },
  ].filter(Boolean)
}

function restart({ name }, page) {
  return button("Restart", async () => {
    if (!await page.ask({ title: `Restart ${name}?`, text: "It finishes what it has first; its experts can't answer meanwhile.", yes: "Restart" })) return
    page.act(() => page.api.send("POST", `/v1/engines/${encodeURIComponent(name)}/restart`), `${name} is restarted.`)
  }, { key: `restart-${name}`, label: `Restart ${name}` })
}

function nobody() {
  return empty("No experts yet.", element("span", {}, "Register one: ", code("collegium expert add NAME --kind openai --base-url URL --model MODEL")))
}
