import assert from "node:assert/strict"
import { test } from "node:test"

import { bareCode, tokensOf } from "/static/js/markdown/lexer.js"

const kinds = text => tokensOf(text).tokens.map(({ type }) => type)

test("bare SQL and JSON are code, as specialists write them", () => {
  assert.deepEqual(bareCode("SELECT COUNT(*) FROM films"), { type: "code", lang: "SQL", raw: "SELECT COUNT(*) FROM films", text: "SELECT COUNT(*) FROM films" })
  for (const json of ['{"name": "Anna"}', "[[1]]", '[ "a" ]', "{\n [1]}"]) assert.equal(bareCode(json).lang, "JSON", json)
  for (const text of ["SELECTED", "[link](x)", "{a}", "so: SELECT 1"]) assert.equal(bareCode(text), null, text)
})

test("quotations in quotations, thousands deep, are shown as they are written", () => {
  const text = "> ".repeat(10_000)
  assert.deepEqual(tokensOf(text).tokens, [{ type: "plain", raw: text, text }])
})

test("marks that are made to take long take a moment only", () => {
  const runs = ["_a", "**a", "[a", "~~a", "<a ", "`", "![", "a@", "*a_ ", "$", "\\(", "$$", "a.", "|a"]
  for (const run of [...runs.map(run => run.repeat(30_000 / run.length)), `${"a".repeat(30_000)}@`]) {
    const started = process.cpuUsage()
    tokensOf(run)
    assert.ok(process.cpuUsage(started).user < 3_000_000, run.slice(0, 10))
  }
})

test("a long paragraph of words is one plain run", () => {
  assert.deepEqual(tokensOf("word ".repeat(2_000)).tokens[0].tokens.map(({ type }) => type), ["plain"])
})

test("blocks are what they are in GitHub's Markdown", () => {
  assert.deepEqual(kinds("# a\n\nb\n\n- c\n\n```\nd\n```\n\n|e|\n|-|\n\n> f\n\n---").filter(kind => kind !== "space"),
    ["heading", "paragraph", "list", "code", "table", "blockquote", "hr"])
})
