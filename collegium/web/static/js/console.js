// Wire the console: the place in the address says which page is shown, and pages load themselves again.

import { Api } from "/static/js/api/api.js"
import { ApiError } from "/static/js/api/api_error.js"
import { KeyRing } from "/static/js/api/key_ring.js"
import { Dialog } from "/static/js/console/dialog.js"
import * as alarms from "/static/js/console/pages/alarms.js"
import * as batches from "/static/js/console/pages/batches.js"
import * as budgets from "/static/js/console/pages/budgets.js"
import * as decisions from "/static/js/console/pages/decisions.js"
import * as experts from "/static/js/console/pages/experts.js"
import * as keys from "/static/js/console/pages/keys.js"
import * as marks from "/static/js/console/pages/marks.js"
import * as overview from "/static/js/console/pages/overview.js"
import * as quality from "/static/js/console/pages/quality.js"
import * as routers from "/static/js/console/pages/routers.js"
import * as spend from "/static/js/console/pages/spend.js"
import { button, empty, heading } from "/static/js/console/parts.js"
import { redraw } from "/static/js/console/view.js"
import { element, fill } from "/static/js/lib/dom.js"
import { passing } from "/static/js/lib/storage.js"
import { parsePlace, placeHash } from "/static/js/models/place.js"
import { Screen } from "/static/js/models/screen.js"
import { Announcer } from "/static/js/views/announcer.js"
import { KeyPrompt } from "/static/js/views/key_prompt.js"
import { ThemeToggle } from "/static/js/views/theme_toggle.js"

const PAGES = { overview, experts, decisions, spend, quality, routers, marks, batches, alarms, keys, budgets }
const $ = id => document.getElementById(id)

const keyPrompt = new KeyPrompt($("key-prompt"))
const keyRing = new KeyRing(question => keyPrompt.ask(question), passing)
const api = new Api(keyRing)
const screen = new Screen()
const dialog = new Dialog($("dialog"))
const announcer = new Announcer($("announcer"))
const callers = new Map()
let timer = null
let page = null

new ThemeToggle($("theme"))
$("key").addEventListener("click", changeKey)
screen.addEventListener("change", show)
addEventListener("hashchange", arrive)
document.addEventListener("visibilitychange", () => { if (!document.hidden) again() })
arrive()

async function arrive() {
  const place = parsePlace(location.hash)
  const same = page && page.place.page === place.page && page.place.id === place.id
  page = contextOf(place, same ? page : null)
  navigate(place)
  clearTimeout(timer)
  const here = page
  await screen.open(() => loaded(here))
  if (here !== page) return
  if (!same && document.activeElement === document.body) $("page-title")?.focus({ preventScroll: true })
  again()
}

function contextOf(place, before) {
  return {
    api, place, module: PAGES[place.page] ?? overview,
    caller: before?.caller ?? null,
    operator: before?.operator ?? false,
    kept: before?.kept ?? {},
    go: (name, id, params) => { location.hash = placeHash(name, id, params) },
    keep(changes) {
      Object.assign(this.kept, changes)
      show()
    },
    async turn(changes) {
      Object.assign(this.kept, changes)
      scrollTo(0, 0)
      await screen.refresh()
      show()
    },
    ask: question => dialog.ask(question),
    act,
  }
}

async function loaded(here) {
  here.caller = await caller()
  here.operator = here.caller.role === "operator"
  return here.module.load(here)
}

// Who the key is of; asked once for each key, which a refusal may change meanwhile.
async function caller() {
  if (!callers.has(keyRing.key)) {
    const found = await api.get("/v1/caller")
    callers.set(keyRing.key, found)
  }
  return callers.get(keyRing.key)
}

async function act(doing, said = "") {
  let done = false
  problem(null)
  try {
    await doing()
    done = true
    if (said) announce(said)
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    problem(error.message)
  }
  await screen.refresh()
  return done
}

function announce(text) {
  announcer.say(text)
  fill($("done"), text)
  $("done").hidden = false
  setTimeout(() => { $("done").hidden = true }, 4_000)
}

function again() {
  clearTimeout(timer)
  const every = page.module.every
  if (every) timer = setTimeout(tick, every)
}

async function tick() {
  if (!document.hidden && !$("dialog").open) await screen.refresh()
  again()
}

function show() {
  const { data, error, loading } = screen
  $("page").setAttribute("aria-busy", String(loading))
  if (data !== null) redraw($("page"), page.module.view(data, page).flat())
  else if (error) redraw($("page"), failed(error))
  else if (loading) redraw($("page"), [heading(page.module.title), element("p", { class: "note" }, "Loading…")])
  fill($("stale"), data !== null && error ? `${error.message} What is shown may be old; it is asked for again.` : "")
  $("stale").hidden = data === null || !error
}

function failed(error) {
  const retry = button(error.status === 401 ? "Enter a key" : "Try again", () => arrive(), { key: "retry" })
  const words = error.status === 403 ? ["This page is for the operator.", "This key may ask experts and see its own decisions and spend. Use another key, above, to see more."]
    : error.status === 404 ? ["There is no such thing here.", error.message]
      : ["The page can't be loaded.", error.message]
  return [heading(page.module.title), empty(...words, retry)]
}

function problem(text) {
  $("problem").hidden = text === null
  fill($("problem"), text ?? "")
}

function navigate({ page: name }) {
  document.title = `${page.module.title} – Collegium console`
  for (const link of document.querySelectorAll(".console__nav a")) {
    const here = link.getAttribute("href") === `#/${name}`
    if (here) link.setAttribute("aria-current", "page")
    else link.removeAttribute("aria-current")
    if (here) link.scrollIntoView({ block: "nearest", inline: "center" })
  }
  problem(null)
}

async function changeKey() {
  const key = await keyPrompt.ask({ refused: false })
  if (!key) return
  passing.remember("api_key", key)
  page = null
  await arrive()
}
