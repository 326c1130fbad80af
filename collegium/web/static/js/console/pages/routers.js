// The routers that were fitted: try one in the shadow, let it decide, take it back.

import { element } from "/static/js/lib/dom.js"
import { margin, moment, percent, points, UNKNOWN, whole } from "/static/js/lib/format.js"
import { button, chip, code, empty, facts, heading, link, note, section, table } from "/static/js/console/parts.js"
import { replayed } from "/static/js/console/pages/quality.js"

export const title = "Routers"
export const every = 10_000
export const operator = true

export async function load({ api, place: { id } }) {
  if (id !== null) return { one: await api.get(`/v1/router/versions/${encodeURIComponent(id)}`) }
  return { all: await api.get("/v1/router/versions") }
}

export function view({ one, all }, page) {
  return one ? single(one, page) : list(all, page)
}

function list({ serving, data }, page) {
  const tried = data.some(({ status }) => ["canary", "shadow", "serving"].includes(status))
  return [
    heading(title, tried && button("Roll back", () => rollBack(page), { key: "rollback" })),
    note("Serving now: ", data.some(({ id }) => id === serving) ? link(serving, "routers", serving) : "the router of the folder or the package", "."),
    table({ caption: "Router versions, newest first", rows: data, columns: [
      { name: "Version", cell: ({ id }) => link(id, "routers", id) },
      { name: "State", cell: state },
      { name: "Fitted", cell: ({ created_at: at }) => moment(at) },
      { name: "Learning run", cell: ({ run_id: run }) => run ? link(run, "marks", run) : UNKNOWN },
      { name: "Actions", hidden: true, cell: version => actions(version, page) },
    ], none: empty("No router was fitted yet.", element("span", {}, "Learn from recorded prompts: ", code("collegium learn"), ".")) }),
  ]
}

function state({ status, share, automatic, detail }) {
  return element("div", { class: "chips" },
    chip(status), status === "canary" && chip(`${percent(share)} of requests`, "plain"), automatic && chip("automatic", "plain"),
    detail && element("span", { class: "sub" }, detail))
}

function single(version, page) {
  return [
    heading(`Router ${version.id}`, button("Back", () => history.back(), { key: "back" })),
    section("State", facts({
      State: state(version), Fitted: moment(version.created_at), Changed: moment(version.changed_at),
      "Learning run": version.run_id && link(version.run_id, "marks", version.run_id),
      Applications: version.applications.length > 0 ? version.applications.join(", ") : "all",
    }), actions(version, page)),
    page.kept.judged && section("On decisions that were made and rated", judged(page.kept.judged)),
    section("On replayed prompts", ...replayed(version)),
    version.report && section("By application", table({ caption: "By application", rows: version.report.applications, columns: [
      { name: "Application", cell: row => row.application ?? "none" },
      { name: "Prompts", cell: row => whole(row.prompts), number: true },
      { name: "Best expert", cell: row => row.best_expert },
      { name: "Mostly sent to", cell: row => row.mostly_sent_to },
      { name: "Quality, points", cell: row => `${points(-row.loss_points)} ${margin(row.margin_points)}`, number: true },
      { name: "Saved", cell: row => percent(row.saved), number: true },
    ] })),
  ]
}

function actions({ id, status, report }, page) {
  const post = (what, body = {}) => page.api.send("POST", `/v1/router/versions/${encodeURIComponent(id)}/${what}`, body)
  return element("div", { class: "buttons" },
    status !== "serving" && status !== "shadow" && button("Shadow", () => page.act(() => post("shadow"), `${id} decides in the shadow, without effect.`), { key: `shadow-${id}`, label: `Try ${id} in the shadow` }),
    status !== "serving" && button("Promote", () => promote(id, post, page), { key: `promote-${id}`, label: `Promote ${id}` }),
    report !== null && button("Judge on ratings", () => page.act(async () => page.keep({ judged: await post("evaluate") }), "Judged."), { key: `judge-${id}` }))
}

async function promote(id, post, page) {
  const said = await page.ask({
    title: `Promote ${id}?`, yes: "Promote",
    text: "It decides a share of the requests, and is taken back by itself where it fails more, is rated worse or costs more.",
    fields: [
      { name: "share", label: "Share", options: [["automatic", "1 %, then 10 %, then all, as long as it holds"], ["0.01", "1 %"], ["0.1", "10 %"], ["0.5", "50 %"], ["1", "All"]] },
      { name: "unconfirmed", label: "Although too few of its marks are confirmed", type: "checkbox" },
    ],
  })
  if (!said) return
  const how = said.share === "automatic" ? { automatic: true } : { share: Number(said.share) }
  page.act(() => post("promote", { ...how, unconfirmed: said.unconfirmed }), `${id} is promoted.`)
}

async function rollBack(page) {
  const said = await page.ask({
    title: "Roll back?", text: "What is tried ends; where nothing is tried, what served before serves again.", yes: "Roll back",
    fields: [{ name: "reason", label: "Why (optional)", maxlength: 500 }],
  })
  if (said) page.act(() => page.api.send("POST", "/v1/router/rollback", { reason: said.reason }), "Rolled back.")
}

function judged(found) {
  const { doubly_robust: robust, effective, rated, serving_score: serving, same_choices: same } = found
  return facts({
    "Would be rated": `${percent(robust.value)}${robust.standard_error ? ` ± ${points(196 * robust.standard_error)} points` : ""}`,
    "Is rated now": percent(serving), "Rated decisions": `${whole(rated)}, worth ${whole(effective)} of its own`, "Same choices": percent(same),
  })
}
