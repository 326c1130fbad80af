// Learning runs, and the confirmation of their marks: a person says which of two answers is better.

import { element } from "/static/js/lib/dom.js"
import { dollars, moment, whole } from "/static/js/lib/format.js"
import { button, chip, code, empty, facts, heading, link, note, section, table } from "/static/js/console/parts.js"
import { Confirming } from "/static/js/models/confirming.js"

export const title = "Marks"
export const operator = true
export const every = 10_000
const SAMPLE = 60

export async function load({ api, place: { id }, kept }) {
  if (id === null) return { runs: (await api.get("/v1/learning/runs")).data }
  const run = await api.get(`/v1/learning/runs/${encodeURIComponent(id)}`)
  if (!kept.confirming) {
    const rows = (await api.get(`/v1/learning/runs/${encodeURIComponent(id)}/unconfirmed?count=${SAMPLE}`)).data
    kept.confirming = new Confirming(rows)
  }
  return { run }
}

export function view({ runs, run }, page) {
  return run ? single(run, page) : list(runs)
}

// Without what answers in flight may cost.
const spent = ({ spent_usd: usd, reserved_usd: reserved = 0 }) => usd - reserved

function list(runs) {
  return [
    heading(title),
    note("A judge errs. Say of a sample of answers yourself which is better, and its marks are corrected by its errors with each expert: only then does a router promise what it saves."),
    table({ caption: "Learning runs, newest first", rows: runs, columns: [
      { name: "Learning run", cell: ({ id }) => link(id, "marks", id) },
      { name: "State", cell: ({ status, detail }) => [chip(status), detail && element("span", { class: "sub" }, detail)] },
      { name: "Answers", cell: ({ answered, planned }) => `${whole(answered)} of ${whole(planned)}`, number: true },
      { name: "Spent", cell: (run) => dollars(spent(run)), number: true },
      { name: "Router", cell: ({ router }) => router ? link(router, "routers", router) : "–" },
      { name: "Proposed", cell: ({ created_at: at }) => moment(at) },
    ], none: empty("No learning run yet.", element("span", {}, "Propose one: ", code("collegium learn"), ". It says what it would ask and cost before it asks.")) }),
  ]
}

function single(run, page) {
  const { confirming } = page.kept
  return [
    heading(`Learning run ${run.id}`, button("Back", () => history.back(), { key: "back" })),
    facts({ State: chip(run.status), Detail: run.detail, Answers: `${whole(run.answered)} of ${whole(run.planned)}`, Spent: dollars(spent(run)), Router: run.router && link(run.router, "routers", run.router) }),
    confirming.row ? question(confirming, run, page) : done(confirming, run, page),
  ]
}

function question(confirming, run, page) {
  const { request, first, second } = confirming.shown
  const say = async word => {
    const mark = confirming.mark(word)
    const done = mark === null || await page.act(() => page.api.send("POST", `/v1/learning/runs/${encodeURIComponent(run.id)}/marks`, { marks: [mark] }))
    if (done) confirming.next({ kept: mark !== null })
    page.keep({})
  }
  const two = second !== null
  const words = two
    ? [["1", "Answer 1 is better"], ["2", "Answer 2 is better"], ["t", "They are equal"], ["s", "Skip"]]
    : [["y", "Right"], ["n", "Wrong"], ["h", "Half right"], ["s", "Skip"]]
  const keys = event => {
    if (event.ctrlKey || event.metaKey || event.altKey || !words.some(([key]) => key === event.key)) return
    event.preventDefault()
    say(event.key)
  }
  return element("section", { class: "card confirm", "aria-label": "Which answer is better?", onkeydown: keys },
    element("h3", { class: "card__title" }, `${confirming.at + 1} of ${confirming.count}: ${two ? "Which answer is better?" : "Is the answer right?"}`),
    element("h4", { class: "confirm__name" }, "Request"),
    element("pre", { class: "text", tabindex: "0" }, request),
    element("div", { class: "confirm__answers" },
      answer(two ? "Answer 1" : "Answer", first), two && answer("Answer 2", second)),
    element("div", { class: "buttons" }, ...words.map(([key, text], i) => button([element("kbd", {}, key), ` ${text}`], () => say(key), { key: `say-${i}` }))),
    note(`${kept(confirming)}, each at once. Who answered is not shown.`))
}

function answer(name, text) {
  return element("div", {}, element("h4", { class: "confirm__name" }, name), element("pre", { class: "text", tabindex: "0" }, text))
}

function kept(confirming) {
  return confirming.kept === 1 ? "1 mark is kept" : `${whole(confirming.kept)} marks are kept`
}

function done(confirming, run, page) {
  const fit = () => page.act(() => page.api.send("POST", `/v1/learning/runs/${encodeURIComponent(run.id)}/fit`), "The router is fitted again with these marks.")
  const title = confirming.count === 0 ? "Nothing to confirm in this run." : `${kept(confirming)}.`
  return section("Confirmation",
    empty(title, confirming.count === 0 ? "Its marks are a program's or are confirmed already." : "Fit the router again, so that they count."),
    element("div", { class: "buttons" }, confirming.kept > 0 && button("Fit again", fit, { strong: true }), button("Another sample", () => page.turn({ confirming: null }), { key: "again" })))
}
