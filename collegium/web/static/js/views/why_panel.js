// Why this expert: the reason in words, the skills seen, the candidates, forecast beside fact.

import { element, fill } from "/static/js/lib/dom.js"
import { duration, percent } from "/static/js/lib/format.js"
import { elementId } from "/static/js/lib/ids.js"
import { candidatesTable } from "/static/js/views/candidates_table.js"
import { level } from "/static/js/views/level.js"
import { measuresTable } from "/static/js/views/measures_table.js"

const LEAST_SKILL = 0.01
const MOST_SKILLS = 4

const POLICIES = {
  quality: "Chosen by forecast quality",
  prior: "Nobody was measured, so by what is known of the models",
  named: "Chosen by you",
  waiting: "Sooner than the best",
  session: "Kept for this conversation",
  online: "Chosen by ratings, or to learn",
}

export class WhyPanel {
  #roster
  #shown = {}
  element = element("section", { class: "why", id: elementId("why"), hidden: true })

  constructor(roster) {
    this.#roster = roster
  }

  get id() {
    return this.element.id
  }

  toggle() {
    this.element.hidden = !this.element.hidden
    return !this.element.hidden
  }

  show({ decision, outcome, expert, tried }) {
    const now = { decision, outcome, expert, experts: this.#roster.experts }
    if (Object.keys(now).every(name => this.#shown[name] === now[name])) return
    this.#shown = now
    this.element.setAttribute("aria-label", `Why ${expert}`)
    fill(this.element,
      element("p", { class: "why__reason" }, decision.reason),
      tried.length > 0 && element("p", { class: "why__tried" }, `${tried.map(each => each.expert).join(", ")} did not answer, so ${expert} did: ${tried.at(-1).error}.`),
      facts(decision),
      element("div", { class: "why__tables" },
        candidatesTable(decision, this.#roster),
        measuresTable(decision, outcome, expert)),
      excluded(decision),
      skills(decision.skills ?? {}),
      element("p", { class: "why__id" }, "Decision ", element("code", {}, decision.id)))
  }
}

function facts({ policy, confidence, application, ood_score: strangeness, overhead_ms: overhead }) {
  return element("dl", { class: "why__facts" },
    fact("Policy", POLICIES[policy] ?? policy),
    fact("Confidence", percent(confidence)),
    application && fact("Application", application),
    fact("Evidence", percent(strangeness === null ? null : 1 - strangeness)),
    fact("Routed in", duration(overhead)))
}

// Who could not be asked, and why.
function excluded({ forecasts }) {
  const noted = forecasts.filter(({ feasible, note }) => feasible === false && note)
  if (noted.length === 0) return null
  return element("div", { class: "why__excluded" },
    element("h3", { class: "why__heading" }, "Not asked"),
    element("ul", {}, ...noted.map(({ expert, note }) => element("li", {}, element("strong", {}, expert), ` ${note}`))))
}

function fact(name, value) {
  return element("div", {}, element("dt", {}, name), element("dd", {}, value))
}

function skills(levels) {
  const seen = Object.entries(levels)
    .filter(([, share]) => share >= LEAST_SKILL)
    .sort(([, a], [, b]) => b - a)
    .slice(0, MOST_SKILLS)
  if (seen.length === 0) return null
  return element("div", { class: "why__skills" },
    element("h3", { class: "why__heading" }, "Skills it asks for"),
    element("ul", {}, ...seen.map(([name, share]) => element("li", {}, element("span", {}, name), level(share)))))
}
