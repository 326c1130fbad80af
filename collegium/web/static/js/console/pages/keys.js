// Keys and teams: make, rotate and revoke them; a secret is shown once.

import { element } from "/static/js/lib/dom.js"
import { moment } from "/static/js/lib/format.js"
import { button, chip, code, empty, facts, heading, link, note, section, table } from "/static/js/console/parts.js"

export const title = "Keys"
export const every = 15_000
const ROLES = [["caller", "caller: asks, and sees its own"], ["team-lead", "team lead: also sees the team's, and makes its keys"], ["read-only", "read-only: only looks"], ["operator", "operator: everything"]]
const OVERLAPS = [["0", "At once"], ["3600", "In an hour"], ["86400", "In a day"], ["604800", "In a week"]]

export async function load({ api }) {
  const [keys, teams, caller] = await Promise.all(["/v1/keys", "/v1/teams", "/v1/caller"].map(path => api.get(path)))
  return { keys: keys.data, teams: teams.data, caller }
}

export function view({ keys, teams, caller }, page) {
  const manages = ["operator", "team-lead"].includes(caller.role)
  return [
    heading(title, manages && button("Make a key", () => make(teams, caller, page), { strong: true, key: "make" })),
    page.kept.secret && secret(page),
    caller.role !== "operator" && section("Your key", facts({ Name: caller.name, Role: caller.role, Team: caller.team, "May ask": names(caller.allowed_experts), Applications: names(caller.allowed_applications) })),
    table({ caption: "Keys", rows: [...keys].sort((a, b) => (a.state !== "active") - (b.state !== "active")), columns: columns(manages, page),
      none: empty("No keys in the registry.", manages ? "Make one for each person or program that asks." : "An operator makes them.") }),
    section("Teams", table({ caption: "Teams", rows: teams, columns: [
      { name: "Team", cell: ({ name, description }) => [element("span", { class: "name" }, name), description && element("span", { class: "sub" }, description)] },
      { name: "May ask", cell: ({ allowed_experts: list }) => names(list) },
      { name: "Applications", cell: ({ allowed_applications: list }) => names(list) },
      { name: "Spend", hidden: true, cell: ({ name }) => link("Spend", "spend", null, { by: "owner", team: name }) },
    ], none: note("No teams yet.") }),
    page.operator && element("div", { class: "buttons" }, button("Make a team", () => makeTeam(page), { key: "make-team" }))),
  ]
}

function columns(manages, page) {
  return [
    { name: "Key", cell: ({ name, description }) => [element("span", { class: "name" }, name), description && element("span", { class: "sub" }, description)] },
    { name: "State", cell: ({ state, former_until: until }) => [chip(state, state === "active" ? "good" : "plain"), until && element("span", { class: "sub" }, `the secret before is good until ${moment(until)}`)] },
    { name: "Role", cell: ({ role }) => role },
    { name: "Team", cell: ({ team }) => team ?? "–" },
    { name: "Secret", cell: ({ prefix, last_four: last }) => prefix ? code(`${prefix}…${last ?? ""}`) : "–" },
    { name: "May ask", cell: ({ allowed_experts: list }) => names(list) },
    { name: "Expires", cell: ({ expires_at: at }) => at ? moment(at) : "never" },
    { name: "Spend", hidden: true, cell: ({ name }) => link("Spend", "spend", null, { owner: name }) },
    manages && { name: "Actions", hidden: true, cell: key => key.state !== "revoked" && element("div", { class: "buttons" },
      button("Rotate", () => rotate(key, page), { key: `rotate-${key.id}`, label: `Rotate ${key.name}` }),
      button("Revoke", () => revoke(key, page), { key: `revoke-${key.id}`, label: `Revoke ${key.name}` })) },
  ].filter(Boolean)
}

function names(list) {
  return list === null || list === undefined ? "all" : list.length > 0 ? list.join(", ") : "none"
}

// It is in this page's memory alone, until it is put away or the page is left.
function secret(page) {
  const { name, text } = page.kept.secret
  return element("section", { class: "card secret", "aria-label": "The secret" },
    element("h3", { class: "card__title" }, `The secret of ${name}`),
    element("pre", { class: "text", tabindex: "0" }, text),
    note("Copy it now: it is shown this once, and nobody can read it again."),
    element("div", { class: "buttons" },
      button("Copy", () => navigator.clipboard?.writeText(text), { key: "copy", disabled: !navigator.clipboard }),
      button("Put it away", () => page.keep({ secret: null }), { key: "put-away" })))
}

async function make(teams, caller, page) {
  const lead = caller.role !== "operator"
  const said = await page.ask({
    title: "Make a key", text: "Its secret is shown once, on this page.", yes: "Make it",
    fields: [
      { name: "name", label: "Name", required: true, maxlength: 64 },
      { name: "role", label: "Role", options: ROLES.filter(([role]) => !lead || ["caller", "read-only"].includes(role)) },
      !lead && { name: "team", label: "Team", options: [["", "none"], ...teams.map(({ name }) => [name, name])] },
      { name: "days", label: "Expires after so many days (empty: never)", type: "number", min: 1, max: 36_500 },
      { name: "experts", label: "May ask only these experts, with commas between them (empty: all)" },
    ].filter(Boolean),
  })
  if (!said) return
  const { name, role, team, days, experts } = said
  const body = {
    name, role, ...(team ? { team } : {}),
    ...(days ? { expires_at: new Date(Date.now() + Number(days) * 86_400_000).toISOString() } : {}),
    ...(experts ? { allowed_experts: listed(experts) } : {}),
  }
  page.act(async () => page.keep({ secret: { name, text: (await page.api.send("POST", "/v1/keys", body)).key } }), `The key ${name} is made.`)
}

async function rotate({ id, name }, page) {
  const said = await page.ask({
    title: `Rotate ${name}?`, text: "It gets a new secret, which is shown once.", yes: "Rotate",
    fields: [{ name: "overlap", label: "The secret before ends", options: OVERLAPS }],
  })
  if (!said) return
  page.act(async () => {
    const rotated = await page.api.send("POST", `/v1/keys/${encodeURIComponent(id)}/rotate`, { overlap_s: Number(said.overlap) })
    page.keep({ secret: { name, text: rotated.key } })
  }, `${name} has a new secret.`)
}

async function revoke({ id, name }, page) {
  if (!await page.ask({ title: `Revoke ${name}?`, text: "It ends at once and for good. What it made stays.", yes: "Revoke" })) return
  page.act(() => page.api.send("POST", `/v1/keys/${encodeURIComponent(id)}/revoke`), `${name} is revoked.`)
}

async function makeTeam(page) {
  const said = await page.ask({
    title: "Make a team", text: "Its keys may do what both the key and the team allow.", yes: "Make it",
    fields: [{ name: "name", label: "Name", required: true, maxlength: 64 }, { name: "experts", label: "May ask only these experts, with commas between them (empty: all)" }],
  })
  if (said) page.act(() => page.api.send("POST", "/v1/teams", { name: said.name, ...(said.experts ? { allowed_experts: listed(said.experts) } : {}) }), `The team ${said.name} is made.`)
}

function listed(text) {
  return text.split(",").map(name => name.trim()).filter(Boolean)
}
