import assert from "node:assert/strict"
import { test } from "node:test"

import { Panel } from "/static/js/models/panel.js"

function panel(...events) {
  const made = new Panel()
  for (const event of events) made.receive(event)
  return made
}

const started = (seat, expert, role = "member") => ({ event: "started", seat, expert, role })
const said = (seat, text) => ({ event: "said", seat, text })

test("a seat is who started on it, and has the words said so far", () => {
  const { seats } = panel(started(0, "sql"), said(0, "Hel"), said(0, "lo"))
  const [{ number, expert, role, state, text }] = seats
  assert.deepEqual({ number, expert, role, state, text }, {
    number: 0, expert: "sql", role: "member", state: "speaking", text: "Hello",
  })
})

test("a whole reply takes the place of the pieces", () => {
  const seat = panel(started(0, "sql"), said(0, "Hel"), { event: "replied", seat: 0, text: "Hello." }).find(0)
  assert.deepEqual([seat.state, seat.text], ["done", "Hello."])
})

test("who was dropped says why, and keeps the words", () => {
  const seat = panel(started(0, "sql"), said(0, "Hel"), { event: "dropped", seat: 0, reason: "was late" }).find(0)
  assert.deepEqual([seat.state, seat.reason, seat.text], ["dropped", "was late", "Hel"])
})

test("seats are kept apart, in the order in which they are heard of", () => {
  const { seats } = panel(started(1, "lists"), started(0, "sql"), said(1, "b"), said(0, "a"), started(2, "sql", "judge"))
  assert.deepEqual(seats.map(({ number, expert, role, text }) => [number, expert, role, text]), [
    [1, "lists", "member", "b"], [0, "sql", "member", "a"], [2, "sql", "judge", ""],
  ])
})

test("votes are counted by group, and there are none before the choice", () => {
  const made = panel(started(0, "a"), started(1, "b"), started(2, "c"))
  assert.equal(made.votesFor(made.find(0)), 0)
  made.receive({
    event: "chosen", seat: 0, how: "2 of 3 agree",
    groups: [{ answer: "4", seats: [0, 2], weight: 2 }, { answer: "5", seats: [1], weight: 1 }], scores: {},
  })
  assert.deepEqual(made.seats.map(seat => made.votesFor(seat)), [2, 1, 2])
  assert.deepEqual([made.chosen.seat, made.chosen.how], [0, "2 of 3 agree"])
  assert.equal(made.seats.length, 3)
})

test("a seat that is in no group has no votes", () => {
  const made = panel(started(0, "a"), { event: "chosen", seat: 0, how: "first", groups: [], scores: {} })
  assert.equal(made.votesFor(made.find(0)), 0)
})

test("the end tells what each call took, also of seats not heard of", () => {
  const calls = [{ seat: 0, latency_ms: 10 }, { seat: 1, latency_ms: 20 }]
  const made = panel(started(0, "a"), { mode: "vote", chosen: { seat: 0, how: "agreed", groups: [] }, calls })
  assert.deepEqual(made.seats.map(({ number, call }) => [number, call.latency_ms]), [[0, 10], [1, 20]])
  assert.equal(made.chosen.how, "agreed")
})

test("an end without a choice leaves the one that was told", () => {
  const chosen = { event: "chosen", seat: 0, how: "agreed", groups: [] }
  assert.equal(panel(started(0, "a"), chosen, { mode: "vote", chosen: null, calls: [] }).chosen, chosen)
})

test("events that this page does not know yet change nothing but the seat's being there", () => {
  const made = panel(started(0, "a"), { event: "yawned", seat: 0, text: "…" })
  assert.deepEqual([made.find(0).state, made.find(0).text], ["asked", ""])
  assert.equal(made.find(7), undefined)
})

test("a panel that was kept is heard on", () => {
  const kept = Panel.from({ seats: [{ number: 3, expert: "sql", text: "a", state: "speaking" }], chosen: null })
  kept.receive({ event: "said", seat: 3, text: "b" })
  assert.deepEqual([kept.find(3).text, kept.seats.length], ["ab", 1])
})
