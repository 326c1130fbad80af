// Bulk jobs: how far they are, and what they cost.

import { element } from "/static/js/lib/dom.js"
import { dollars, moment, whole } from "/static/js/lib/format.js"
import { queryOf } from "/static/js/models/place.js"
import { button, chip, code, empty, heading, share, table } from "/static/js/console/parts.js"

export const title = "Batches"
export const every = 5_000
const UNDER_WAY = ["validating", "in_progress"]

export async function load({ api, kept }) {
  return api.get(`/v1/batches${queryOf({ limit: 50, after: kept.after })}`)
}

export function view({ data, has_more: more }, page) {
  const trail = page.kept.trail ?? []
  return [
    heading(title),
    table({ caption: "Bulk jobs, newest first", rows: data, columns: columns(page),
      none: empty("No bulk jobs yet.", element("span", {}, "Begin one: ", code("collegium batch submit FILE.jsonl"), ".")) }),
    (more || trail.length > 0) && element("div", { class: "pager" },
      button("Newer", () => page.turn({ after: trail.at(-1) ?? null, trail: trail.slice(0, -1) }), { disabled: trail.length === 0 }),
      button("Older", () => page.turn({ after: data.at(-1).id, trail: [...trail, page.kept.after ?? null] }), { disabled: !more })),
  ]
}

function columns(page) {
  return [
    { name: "Job", cell: ({ id, endpoint }) => [element("span", { class: "name" }, id), element("span", { class: "sub" }, endpoint)] },
    { name: "State", cell: ({ status, errors }) => [chip(status), errors && element("span", { class: "sub" }, errors.data[0]?.message)] },
    { name: "Progress", cell: ({ request_counts: { total, completed, failed } }) => share(total ? (completed + failed) / total : 0, `${whole(completed)} of ${whole(total)}${failed ? `, ${whole(failed)} failed` : ""}`) },
    { name: "Spent", cell: ({ money }) => dollars(money?.spent_usd), number: true },
    { name: "Forecast of the rest", cell: ({ money }) => dollars(money?.forecast_rest_usd), number: true },
    { name: "Budget", cell: ({ money }) => dollars(money?.budget_usd), number: true },
    { name: "Created", cell: ({ created_at: at }) => moment(at) },
    { name: "Due", cell: ({ expires_at: at }) => moment(at) },
    { name: "Action", hidden: true, cell: job => UNDER_WAY.includes(job.status) && cancel(job, page) },
  ]
}

function cancel({ id }, page) {
  return button("Cancel", async () => {
    if (!await page.ask({ title: "Cancel this job?", text: "What is answered by now is kept and can be downloaded.", yes: "Cancel the job", no: "Let it go on" })) return
    page.act(() => page.api.send("POST", `/v1/batches/${encodeURIComponent(id)}/cancel`), "The job is being cancelled.")
  }, { key: `cancel-${id}`, label: `Cancel ${id}` })
}
