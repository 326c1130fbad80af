import "../../fake_document.mjs"
import assert from "node:assert/strict"
import { test } from "node:test"

globalThis.location ??= { origin: "http://localhost", hash: "" }

const pages = await Promise.all(["alarms", "batches", "budgets", "decisions", "experts", "keys", "marks", "overview", "quality", "routers", "spend"]
  .map(async name => [name, await import(`/static/js/console/pages/${name}.js`)]))
const used = { requests: 0, errors: 0, cancelled: 0, unpriced: 0, prompt_tokens: 0, completion_tokens: 0, cost_usd: 0, energy_j: 0, cached: 0, saved_usd: 0, failed_attempts: 0, mean_latency_ms: null }
const usage = { since: "2026-11-01", before: "2026-11-03", data: [], total: used, has_more: false }
const NOTHING = {
  "/v1/usage/comparison": { enough: false, marks: 0, compared: 0, needed: 40, comparison: null, calibration: null },
  "/v1/usage": usage,
  "/v1/caller": { name: "api_key", role: "operator" },
  "/v1/router/versions": { serving: null, data: [] },
}
const answer = path => NOTHING[path.split("?")[0]] ?? { data: [], has_more: false }
const page = { place: { page: "", id: null, params: {} }, kept: {}, operator: true, caller: { role: "operator" }, api: { get: async path => answer(path) } }

for (const [name, module] of pages) {
  test(`${name} without any data says what to do next`, async () => {
    const data = await module.load(page)
    const text = module.view(data, page).flat().filter(Boolean).map(node => node.textContent).join(" ")
    assert.match(text, /yet|No keys|Nothing was asked|No requests in 30 days|No alarms|Not enough marks/, text)
    assert.doesNotMatch(text, /undefined|NaN|\[object/, text)
  })
}

test("an expert whose attempts all failed has spent money on no request", async () => {
  const [, spend] = pages.find(([name]) => name === "spend")
  const bad = { ...used, expert: "bad", prompt_tokens: 100, cost_usd: 0.5, failed_attempts: 2 }
  const rows = { ...usage, data: [bad], total: { ...bad, requests: 1 } }
  const text = spend.view({ rows, perDay: usage }, page).flat().filter(Boolean).map(node => node.textContent).join(" ")
  assert.match(text, /Failed attempts/)
  assert.doesNotMatch(text, /NaN|Infinity/)
})

test("one mark that is kept is one", async () => {
  const [, marks] = pages.find(([name]) => name === "marks")
  for (const [kept, words] of [[1, "1 mark is kept."], [2, "2 marks are kept."]]) {
    const confirming = { count: 2, kept, row: null, at: 2 }
    const run = { id: "lrn_0", status: "done", answered: 2, planned: 2, spent_usd: 0 }
    const shown = marks.view({ run }, { ...page, kept: { confirming } })
    assert.ok(shown.flat().filter(Boolean).map(node => node.textContent).join(" ").includes(words))
  }
})
