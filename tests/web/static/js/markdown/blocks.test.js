import assert from "node:assert/strict"
import { test } from "node:test"

import { blocksOf } from "/static/js/markdown/blocks.js"

// Each block as its kind and what it holds.
function shapes(text) {
  return blocksOf(text).map(({ kind, text, items, language, start }) => {
    if (kind === "code") return [kind, language, text]
    return kind === "numbers" ? [kind, start, ...items] : [kind, ...(items ?? [text])]
  })
}

function table(rows) {
  for (const [text, ...blocks] of rows) assert.deepEqual(shapes(text), blocks, JSON.stringify(text))
}

test("nothing has no blocks", () => {
  table([[""], ["\n \n\t\n"]])
})

test("paragraphs are apart by blank lines, and keep their own lines", () => {
  table([
    ["one", ["paragraph", "one"]],
    ["\n\none\ntwo\n\n\nthree\n", ["paragraph", "one\ntwo"], ["paragraph", "three"]],
    ["one\r\ntwo\r\n\r\nthree\rfour", ["paragraph", "one\ntwo"], ["paragraph", "three\nfour"]],
  ])
})

test("headings have one to six marks and a space", () => {
  table([
    ["# One", ["heading", "One"]],
    ["###### Six ##", ["heading", "Six"]],
    ["####### Seven", ["paragraph", "####### Seven"]],
    ["#tag", ["paragraph", "#tag"]],
    ["#", ["paragraph", "#"]],
    ["text\n## Two\nmore", ["paragraph", "text"], ["heading", "Two"], ["paragraph", "more"]],
  ])
})

test("marks at the end of a heading's last word belong to it", () => {
  table([["## C#", ["heading", "C#"]], ["## F# and C# #", ["heading", "F# and C#"]]])
})

test("bullets of any kind are a list", () => {
  table([
    ["- a\n* b\n+ c", ["bullets", "a", "b", "c"]],
    ["text\n- a", ["paragraph", "text"], ["bullets", "a"]],
    ["- a\n\n- b", ["bullets", "a"], ["bullets", "b"]],
    ["-a\n**b**", ["paragraph", "-a\n**b**"]],
  ])
})

test("numbered lists begin with their own number", () => {
  table([
    ["1. a\n2. b", ["numbers", 1, "a", "b"]],
    ["3) c", ["numbers", 3, "c"]],
    ["1. a\n\n2. b", ["numbers", 1, "a"], ["numbers", 2, "b"]],
    ["1.5 is a number", ["paragraph", "1.5 is a number"]],
    ["- a\n1. b", ["bullets", "a"], ["numbers", 1, "b"]],
  ])
})

test("code is what stands between fences, as it is", () => {
  table([
    ["```python\nx = 1\n\n# no heading\n- no list\n```", ["code", "python", "x = 1\n\n# no heading\n- no list"]],
    ["~~~\n```\n~~~", ["code", "", "```"]],
    ["````md\n```js\n```\n````", ["code", "md", "```js\n```"]],
    ["see:\n```c++\nint a;\n```\nthere", ["paragraph", "see:"], ["code", "c++", "int a;"], ["paragraph", "there"]],
    ["```\n```", ["code", "", ""]],
  ])
})

test("code that still grows ends with the text", () => {
  table([["```sql", ["code", "sql", ""]], ["```sql\nSELECT 1\n``", ["code", "sql", "SELECT 1\n``"]]])
})

test("what follows the language does not keep a fence from being one", () => {
  table([
    ['```js title="a.js" {1,3}\nlet a\n```\nmore', ["code", "js", "let a"], ["paragraph", "more"]],
    ["```{.python}\na\n```", ["code", "", "a"]],
  ])
})

test("code in one line is no fence", () => {
  table([["```let a``` is code\nmore", ["paragraph", "```let a``` is code\nmore"]]])
})

test("a longer fence of the same kind ends code, another kind does not", () => {
  table([
    ["```\na\n`````\nmore", ["code", "", "a"], ["paragraph", "more"]],
    ["```\na\n~~~\n```", ["code", "", "a\n~~~"]],
    ["````\na\n```\n````", ["code", "", "a\n```"]],
  ])
})

test("answers that are nothing but SQL or JSON are code", () => {
  table([
    ["SELECT title\n\nFROM films", ["code", "SQL", "SELECT title\n\nFROM films"]],
    ["WITH old AS (SELECT 1) SELECT 2", ["code", "SQL", "WITH old AS (SELECT 1) SELECT 2"]],
    ['{"name": "Anna"}', ["code", "JSON", '{"name": "Anna"}']],
    ['[\n  {"a": 1}]', ["code", "JSON", '[\n  {"a": 1}]']],
    ["SELECTED works", ["paragraph", "SELECTED works"]],
    ["[link](there)", ["paragraph", "[link](there)"]],
    ["Select one", ["paragraph", "Select one"]],
  ])
})

test("every text that ever stands on the page while it grows can be cut, with nothing lost", () => {
  const text = "# T\n\n1. a\n2. **b**\n\n```js x\nlet a\n```\n- c\n~~~\nd\n~~~\nend `e"
  for (let length = 0; length <= text.length; length++) {
    const shown = JSON.stringify(shapes(text.slice(0, length)))
    for (const word of text.slice(0, length).match(/\b[a-d]\b/g) ?? []) assert.ok(shown.includes(word))
  }
})

test("long and hostile texts take moments", () => {
  const start = performance.now()
  for (const text of ["# ".repeat(1_000), `# a${" ".repeat(1_000)}b`, "`".repeat(10_000), "1. a\n".repeat(5_000)]) blocksOf(text)
  assert.ok(performance.now() - start < 2_000)
})
