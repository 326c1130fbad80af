// The empty page: what this is, and one question to try for each expert.

import { element, fill } from "/static/js/lib/dom.js"
import { exampleFor } from "/static/js/views/examples.js"
import { namePlate } from "/static/js/views/name_plate.js"
import { tint } from "/static/js/views/tint.js"

export class Welcome {
  #list
  #text
  #roster
  #ask
  #choose

  constructor({ list, text, roster, ask, choose }) {
    this.#list = list
    this.#text = text
    this.#roster = roster
    this.#ask = ask
    this.#choose = choose
    roster.addEventListener("change", () => this.#show())
  }

  #show() {
    const { experts } = this.#roster
    const specialists = experts.filter(({ generalist }) => !generalist).length
    if (specialists > 0) fill(this.#text, introduction(specialists, experts.length - specialists))
    const listed = [...experts].sort((a, b) => a.generalist - b.generalist)
    fill(this.#list, ...listed.map(expert => this.#example(expert)))
  }

  #example(expert) {
    const example = exampleFor(expert)
    const onclick = () => example ? this.#ask(example.question) : this.#choose(expert.name)
    const card = element("button", { class: "example", type: "button", onclick },
      namePlate(expert), element("span", { class: "example__text" }, example?.title ?? expert.description))
    return element("li", {}, tint(card, expert))
  }
}

function introduction(specialists, generalists) {
  const others = generalists > 0 ? ` and ${counted(generalists, "generalist")}` : ""
  return `${capital(counted(specialists, "specialist"))}${others} sit in this college. ` +
    "A router reads each question, forecasts how well every one of them would do, and passes it to the best."
}

const WORDS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]

function counted(number, noun) {
  return `${WORDS[number] ?? number} ${noun}${number === 1 ? "" : "s"}`
}

function capital(text) {
  return text[0].toUpperCase() + text.slice(1)
}
