import assert from "node:assert/strict"
import { test } from "node:test"

import { ApiError } from "/static/js/api/api_error.js"

function from(body, options) {
  return ApiError.from(new Response(body, options))
}

test("what the service says is kept", async () => {
  const body = JSON.stringify({ error: { message: "It starts.", code: "expert_unavailable", type: "x" } })
  const error = await from(body, { status: 503, headers: { "retry-after": "2.5" } })
  const { name, message, status, code, retryAfter, passes } = error
  assert.ok(error instanceof Error)
  assert.deepEqual({ name, message, status, code, retryAfter, passes }, {
    name: "ApiError", message: "It starts.", status: 503, code: "expert_unavailable", retryAfter: 2.5, passes: true,
  })
})

test("an answer that is not the service's own is told by its status", async () => {
  for (const body of ["<html>Bad gateway</html>", "", "null", "[]", '{"detail":"Not Found"}', '{"error":"no"}', '{"error":null}']) {
    const error = await from(body, { status: 502 })
    assert.equal(error.message, "The service answered 502.", body)
    assert.deepEqual([error.code, error.retryAfter, error.passes], ["", null, false], body)
  }
})

test("a date to come back at is so many seconds from now; what is neither is not understood", async () => {
  const after = async header => (await from("", { status: 503, headers: { "retry-after": header } })).retryAfter
  const seconds = await after(new Date(Date.now() + 60_000).toUTCString())
  assert.ok(seconds > 50 && seconds <= 60, String(seconds))
  assert.equal(await after("Wed, 21 Oct 2015 07:28:00 GMT"), 0)
  assert.equal(await after("soon"), null)
})

test("an error knows until when the service wants to be left alone", async () => {
  const error = await from("", { status: 429, headers: { "retry-after": "17" } })
  assert.ok(error.until - Date.now() > 15_000 && error.until - Date.now() <= 17_000)
  assert.equal(new ApiError("x").until, null)
})

test("only a service that is not ready is asked again", () => {
  const passes = status => new ApiError("", { status }).passes
  assert.deepEqual([0, 400, 429, 500, 503, 504].filter(passes), [503])
  assert.equal(ApiError.unreachable().passes || ApiError.cutOff().passes || ApiError.unreadable().passes, false)
})
