import assert from "node:assert/strict"
import { test } from "node:test"

import { Pacer } from "/static/js/lib/pacer.js"

// A pacer whose drawing takes so long, and whose frames come when the test says.
function paced(cost) {
  const clock = { now: 0, draws: [], frames: [] }
  const draw = () => { clock.draws.push(clock.now); clock.now += cost }
  const pacer = new Pacer(draw, { frame: act => clock.frames.push(act), now: () => clock.now })
  const frame = () => { for (const act of clock.frames.splice(0)) act(); clock.now += 16 }
  return { pacer, clock, frame }
}

test("many wishes between two frames are one drawing", () => {
  const { pacer, clock, frame } = paced(1)
  for (let count = 0; count < 5; count++) pacer.soon()
  frame()
  frame()
  assert.deepEqual(clock.draws, [0])
})

test("what is drawn quickly is drawn each frame", () => {
  const { pacer, clock, frame } = paced(2)
  for (let count = 0; count < 4; count++) { pacer.soon(); frame() }
  assert.equal(clock.draws.length, 4)
})

test("what takes long rests three times as long, and is drawn all the same", () => {
  const { pacer, clock, frame } = paced(50)
  for (let count = 0; count < 40; count++) { pacer.soon(); frame() }
  const [first, second] = clock.draws
  assert.ok(second - first >= 200, String(clock.draws))
  pacer.soon()
  const before = clock.draws.length
  for (let count = 0; count < 20; count++) frame()
  assert.equal(clock.draws.length, before + 1)
})
