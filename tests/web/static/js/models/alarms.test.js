import assert from "node:assert/strict"
import { test } from "node:test"

import { ApiError } from "/static/js/api/api_error.js"
import { Alarms } from "/static/js/models/alarms.js"

function alarms(...answers) {
  const made = new Alarms({
    async alarms() {
      const answer = answers.shift()
      if (answer instanceof Error) throw answer
      return answer
    },
  })
  const told = []
  made.addEventListener("change", () => told.push(made.open.map(({ id }) => id)))
  return { alarms: made, told }
}

test("alarms that are raised and closed are told, the same ones are not", async () => {
  const { alarms: made, told } = alarms([], [{ id: "a" }], [{ id: "a" }], [{ id: "b" }, { id: "a" }], [])
  for (let i = 0; i < 5; i++) await made.check()
  assert.deepEqual(told, [["a"], ["b", "a"], []])
})

test("while the service can't be reached, the alarms stay as they were", async () => {
  const { alarms: made, told } = alarms([{ id: "a" }], ApiError.unreachable())
  await made.check()
  await made.check()
  assert.deepEqual(told, [["a"]])
})
