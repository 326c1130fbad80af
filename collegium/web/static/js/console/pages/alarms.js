// What the service noticed that its operator should know of.

import { element } from "/static/js/lib/dom.js"
import { moment, percent } from "/static/js/lib/format.js"
import { button, chip, empty, heading, table } from "/static/js/console/parts.js"

export const title = "Alarms"
export const every = 10_000
export const operator = true

export async function load({ api }) {
  return (await api.get("/v1/alarms?status=all&limit=100")).data
}

export function view(alarms, page) {
  return [
    heading(title),
    table({ caption: "Alarms, newest first", rows: [...alarms].sort((a, b) => (b.status === "open") - (a.status === "open")), columns: [
      { name: "Alarm", cell: ({ kind, detail }) => [element("span", { class: "name" }, kind.replaceAll("_", " ")), element("span", { class: "sub" }, detail)] },
      { name: "State", cell: ({ status }) => chip(status, status === "open" ? "bad" : "plain") },
      { name: "Expert or router", cell: ({ expert, router }) => expert ?? router ?? "–" },
      { name: "Lowers forecasts by", cell: ({ lowered, status }) => status === "open" && lowered ? percent(lowered) : "–", number: true },
      { name: "Raised", cell: ({ created_at: at }) => moment(at) },
      { name: "Closed", cell: ({ closed_at: at, closed_for: why }) => at ? [moment(at), why && element("span", { class: "sub" }, why)] : "–" },
      { name: "Action", hidden: true, cell: alarm => alarm.status === "open" && close(alarm, page) },
    ], none: empty("No alarms.", "The service watches experts, upstreams and routers that are tried; what it notices is listed here.") }),
  ]
}

function close({ id, kind }, page) {
  return button("Close", async () => {
    const said = await page.ask({
      title: "Close this alarm?", text: "Forecasts are lowered for it no more. If its cause is still there, it is raised again.",
      fields: [{ name: "reason", label: "What was done (optional)", maxlength: 500 }], yes: "Close the alarm",
    })
    if (said) page.act(() => page.api.send("POST", `/v1/alarms/${encodeURIComponent(id)}/close`, { reason: said.reason }), "The alarm is closed.")
  }, { key: `close-${id}`, label: `Close the alarm ${kind.replaceAll("_", " ")}` })
}
