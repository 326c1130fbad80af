import "../../fake_document.mjs"
import assert from "node:assert/strict"
import { test } from "node:test"

import { calibrationPlot, timeline, tradeoff } from "/static/js/console/charts.js"

const all = (node, tag) => [...(node.tag === tag ? [node] : []), ...node.children.flatMap(child => all(child, tag))]
const numbers = figure => all(figure, "tbody")[0].children.map(row => row.children.map(({ textContent }) => textContent))
const format = value => `${value}`

test("a timeline has a bar for each value, a name, and its numbers as a table", () => {
  const figure = timeline({ title: "Requests", points: [{ name: "1", value: 4 }, { name: "2", value: null }, { name: "3", value: 8 }], format })
  const bars = all(figure, "rect").map(({ attributes: { y, height } }) => [Number(y), Number(height)])
  assert.equal(bars.length, 2)
  assert.ok(Math.abs(bars[1][1] - 2 * bars[0][1]) < 0.2, "twice as high")
  assert.equal(all(figure, "svg")[0].attributes["aria-label"], "Requests: 3 days, the most is 8 on 3.")
  assert.deepEqual(numbers(figure), [["1", "4"], ["3", "8"]])
})

test("a timeline of nothing is an empty axis", () => {
  assert.equal(all(timeline({ title: "Requests", points: [], format }), "rect").length, 0)
})

test("who costs more stands further right, who is better higher, and names don't overlap", () => {
  const dots = [
    { name: "small", kind: "expert", x: 1, y: 0.6 }, { name: "large", kind: "expert", x: 9, y: 0.9 },
    { name: "twin", kind: "expert", x: 1, y: 0.6 }, { name: "balanced", kind: "policy", x: 4, y: 0.9 },
  ]
  const figure = tradeoff({ title: "Trade-off", dots, x: { name: "$", format }, y: { name: "Quality", format } })
  const [small, large] = all(figure, "circle").map(({ attributes: { cx, cy } }) => [Number(cx), Number(cy)])
  assert.ok(small[0] < large[0] && small[1] > large[1])
  const names = all(figure, "text").filter(({ attributes }) => attributes.class === "chart__name").map(({ textContent }) => textContent)
  assert.deepEqual(names.sort(), ["balanced", "large", "small"])
  assert.equal(numbers(figure).length, 4)
})

test("a forecast that is met stands on the diagonal, with its interval", () => {
  const figure = calibrationPlot({ title: "Met", bins: [{ forecast: 0.5, score: 0.5, low: 0.4, high: 0.6, marks: 20 }], format })
  const [marker] = all(figure, "rect")
  const ideal = all(figure, "line").find(({ attributes }) => attributes.class === "chart__ideal").attributes
  const middle = (Number(ideal.x1) + Number(ideal.x2)) / 2
  assert.ok(Math.abs(Number(marker.attributes.x) + 5 - middle) < 0.1)
  assert.deepEqual(numbers(figure), [["0.5", "0.5", "0.4 to 0.6", "20"]])
})
