// Small pieces that the console's pages are made of.

import { element, visuallyHidden } from "/static/js/lib/dom.js"
import { percent } from "/static/js/lib/format.js"
import { placeHash } from "/static/js/models/place.js"

export function heading(title, ...beside) {
  return element("div", { class: "console__head" },
    element("h2", { class: "console__title", id: "page-title", tabindex: "-1" }, title),
    element("div", { class: "console__tools" }, ...beside))
}

export function section(title, ...children) {
  return element("section", { class: "card" }, element("h3", { class: "card__title" }, title), ...children)
}

export function note(...children) {
  return element("p", { class: "note" }, ...children)
}

// What to do where there is nothing yet.
export function empty(title, ...children) {
  return element("div", { class: "empty" }, element("p", { class: "empty__title" }, title), ...children.map(child => element("p", {}, child)))
}

export function code(text) {
  return element("code", {}, text)
}

export function tiles(...facts) {
  return element("dl", { class: "tiles" }, ...facts.filter(Boolean).map(({ name, value, more }) =>
    element("div", { class: "tile" }, element("dt", {}, name), element("dd", {}, value, more && element("span", { class: "tile__more" }, more)))))
}

export function facts(entries) {
  return element("dl", { class: "facts" }, ...Object.entries(entries)
    .filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))))
}

const TONES = {
  ready: "good", ok: "good", serving: "good", remote: "good", completed: "good", closed: "good", finished: "good",
  failed: "bad", error: "bad", expired: "bad", rolled_back: "bad", "given up": "bad",
  starting: "wait", loading: "wait", open: "wait", in_progress: "wait", validating: "wait", canary: "wait", shadow: "wait", running: "wait", "half-open": "wait",
}

// Never by colour alone: the state is said in words.
export function chip(state, tone = TONES[state] ?? "plain") {
  return element("span", { class: "chip", "data-tone": tone }, String(state).replaceAll("_", " "))
}

export function link(text, page, id, params) {
  return element("a", { href: placeHash(page, id, params) }, text)
}

export function button(text, onclick, { strong = false, key = text, label = null, disabled = false } = {}) {
  return element("button", { class: strong ? "button button--strong" : "button", type: "button", "data-key": key, "aria-label": label, disabled, onclick }, text)
}

export function share(part, text = percent(part)) {
  const bar = element("span", { class: "share__bar", "aria-hidden": "true" })
  bar.style.setProperty("--share", Math.max(0, Math.min(1, part || 0)))
  return element("span", { class: "share" }, bar, element("span", {}, text))
}

// Columns are `{ name, cell, number, wide }`; the first cell of a row is its heading.
export function table({ caption, columns, rows, none }) {
  if (rows.length === 0) return none ?? note("Nothing to show.")
  return element("div", { class: "table grid", tabindex: "0", role: "region", "aria-label": caption },
    element("table", {},
      element("caption", { class: "visually-hidden" }, caption),
      element("thead", {}, element("tr", {}, ...columns.map(({ name, number, hidden }) =>
        element("th", { scope: "col", "data-align": number && "right" }, hidden ? visuallyHidden(name) : name)))),
      element("tbody", {}, ...rows.map(row => element("tr", {}, ...columns.map(({ cell, number }, i) =>
        element(i === 0 ? "th" : "td", { scope: i === 0 && "row", "data-align": number && "right" }, cell(row))))))))
}

export function field(label, control) {
  return element("label", { class: "field" }, element("span", { class: "field__label" }, label), control)
}

export function select(name, options, chosen, onchange) {
  const control = element("select", { class: "field__control", name, "data-key": `select-${name}`, onchange: event => onchange(event.target.value) },
    ...options.map(([value, text]) => element("option", { value, selected: value === chosen }, text)))
  return control
}

export function input(name, value, attributes = {}) {
  return element("input", { class: "field__control", name, value, "data-key": `input-${name}`, autocomplete: "off", spellcheck: "false", ...attributes })
}
