// Pictures of numbers as SVG, each with its numbers as a table.

import { element, svg } from "/static/js/lib/dom.js"
import { scale, ticks } from "/static/js/lib/scale.js"
import { table } from "/static/js/console/parts.js"

const WIDE = 360
const HIGH = 150
const PLOT = { width: 480, height: 300, left: 50, right: 24, top: 26, bottom: 40 }

// One bar a day. `points` are `{ name, value }` in order.
export function timeline({ title, points, format, total }) {
  const marks = ticks(0, Math.max(...points.map(({ value }) => value ?? 0), 0), 2)
  const y = scale([0, marks.at(-1)], [HIGH - 20, 8])
  const left = 46
  const step = (WIDE - left) / Math.max(points.length, 1)
  const bars = points.map(({ name, value }, i) => (value ?? 0) > 0 && svg("rect", {
    class: "chart__bar", x: (left + i * step + step * 0.12).toFixed(1), y: y(value).toFixed(1),
    width: Math.max(step * 0.76, 1).toFixed(1), height: (y(0) - y(value)).toFixed(1), rx: 1,
  }, svg("title", {}, `${name}: ${format(value)}`)))
  const ends = points.length > 1 ? [points[0], points.at(-1)] : points
  const picture = svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", "aria-label": `${title}: ${summary(points, format)}` },
    ...grid(marks, y, left, WIDE, format),
    ...bars,
    ...ends.map(({ name }, i) => svg("text", { class: "chart__label", x: i === 0 ? left : WIDE, y: HIGH - 4, "text-anchor": i === 0 ? "start" : "end" }, name)))
  return figure({ title, aside: total, picture, rows: points.filter(({ value }) => value !== null && value !== undefined), columns: [
    { name: "Day", cell: ({ name }) => name },
    { name: title, cell: ({ value }) => format(value), number: true },
  ] })
}

// Experts and policies by what they cost and how good they are.
export function tradeoff({ title, dots, x: xAxis, y: yAxis, line = [] }) {
  const all = [...dots, ...line]
  const xs = ticks(0, Math.max(...all.map(({ x }) => x)))
  const ys = ticks(Math.min(...all.map(({ y }) => y)), Math.max(...all.map(({ y }) => y)))
  const x = scale([xs[0], xs.at(-1)], [PLOT.left, PLOT.width - PLOT.right])
  const y = scale([ys[0], ys.at(-1)], [PLOT.height - PLOT.bottom, PLOT.top])
  const labels = placed(dots, x, y)
  const picture = plot({ title: `${title}: ${dots.length} points; the table has their numbers.`, xs, ys, x, y, xAxis, yAxis },
    line.length > 1 && svg("polyline", { class: "chart__line", points: line.map(p => `${x(p.x).toFixed(1)},${y(p.y).toFixed(1)}`).join(" ") }),
    ...dots.map(dot => marker(dot, x(dot.x), y(dot.y))),
    ...labels.map(({ at, anchor, text, top }) => svg("text", { class: "chart__name", x: at.toFixed(1), y: top.toFixed(1), "text-anchor": anchor }, text)))
  return figure({ title, picture, rows: dots, columns: [
    { name: "Who", cell: ({ name, kind }) => kind === "policy" ? `${name} (policy)` : name },
    { name: yAxis.name, cell: dot => yAxis.format(dot.y), number: true },
    { name: xAxis.name, cell: dot => xAxis.format(dot.x), number: true },
  ] })
}

// Forecasts against what came, with intervals; on the diagonal a forecast is met.
export function calibrationPlot({ title, bins, format }) {
  const marks = [0, 0.25, 0.5, 0.75, 1]
  const x = scale([0, 1], [PLOT.left, PLOT.width - PLOT.right])
  const y = scale([0, 1], [PLOT.height - PLOT.bottom, PLOT.top])
  const picture = plot({
    title: `${title}: ${bins.length} groups of answers; the table has their numbers.`,
    xs: marks, ys: marks, x, y, xAxis: { name: "Forecast", format }, yAxis: { name: "Mean mark", format },
  },
  svg("line", { class: "chart__ideal", x1: x(0), y1: y(0), x2: x(1), y2: y(1) }),
  ...bins.flatMap(({ forecast, score, low, high }) => [
    svg("line", { class: "chart__interval", x1: x(forecast), x2: x(forecast), y1: y(Math.max(low, 0)), y2: y(Math.min(high, 1)) }),
    marker({ kind: "policy", name: `forecast ${format(forecast)}, came ${format(score)}` }, x(forecast), y(score)),
  ]))
  return figure({ title, picture, rows: bins, columns: [
    { name: "Forecast", cell: bin => format(bin.forecast), number: true },
    { name: "Mean mark", cell: bin => format(bin.score), number: true },
    { name: "95 % interval", cell: bin => `${format(bin.low)} to ${format(bin.high)}`, number: true },
    { name: "Marks", cell: bin => String(bin.marks), number: true },
  ] })
}

function plot({ title, xs, ys, x, y, xAxis, yAxis }, ...marks) {
  const base = PLOT.height - PLOT.bottom
  return svg("svg", { viewBox: `0 0 ${PLOT.width} ${PLOT.height}`, role: "img", "aria-label": title },
    ...grid(ys, y, PLOT.left, PLOT.width - PLOT.right, yAxis.format),
    ...xs.map(mark => svg("text", { class: "chart__label", x: x(mark).toFixed(1), y: base + 16, "text-anchor": "middle" }, xAxis.format(mark))),
    svg("text", { class: "chart__label", x: (PLOT.left + PLOT.width) / 2, y: PLOT.height - 6, "text-anchor": "middle" }, xAxis.name),
    svg("text", { class: "chart__label", x: 8, y: 12 }, yAxis.name),
    ...marks)
}

function grid(marks, y, left, right, format) {
  return marks.flatMap(mark => [
    svg("line", { class: "chart__grid", x1: left, x2: right, y1: y(mark).toFixed(1), y2: y(mark).toFixed(1) }),
    svg("text", { class: "chart__label", x: left - 6, y: (y(mark) + 4).toFixed(1), "text-anchor": "end" }, format(mark)),
  ])
}

function marker({ kind, name }, x, y) {
  const shape = kind === "policy"
    ? svg("rect", { class: "chart__policy", x: (x - 5).toFixed(1), y: (y - 5).toFixed(1), width: 10, height: 10, transform: `rotate(45 ${x.toFixed(1)} ${y.toFixed(1)})` })
    : svg("circle", { class: "chart__expert", cx: x.toFixed(1), cy: y.toFixed(1), r: 5 })
  shape.append(svg("title", {}, name))
  return shape
}

const LETTER = 6.2
const LINE = 13

// Names beside their points, as far as they fit without lying over another.
function placed(dots, x, y) {
  const taken = []
  return [...dots].sort((a, b) => (b.kind === "policy") - (a.kind === "policy")).flatMap(({ name, x: vx, y: vy }) => {
    const text = name.length > 22 ? `${name.slice(0, 21)}…` : name
    const wide = text.length * LETTER
    const after = x(vx) + 9 + wide < PLOT.width
    const at = x(vx) + (after ? 9 : -9)
    const box = { left: after ? at : at - wide, right: after ? at + wide : at, top: y(vy) - 6, bottom: y(vy) - 6 + LINE }
    if (taken.some(b => box.left < b.right && b.left < box.right && box.top < b.bottom && b.top < box.bottom)) return []
    taken.push(box)
    return [{ at, text, anchor: after ? "start" : "end", top: y(vy) + 4 }]
  })
}

function figure({ title, aside, picture, rows, columns }) {
  return element("figure", { class: "chart" },
    element("figcaption", { class: "chart__title" }, title, aside && element("span", { class: "chart__aside" }, aside)),
    picture,
    element("details", { class: "chart__table", "data-key": `table-${title}` },
      element("summary", {}, "Numbers"),
      table({ caption: title, columns, rows })))
}

function summary(points, format) {
  if (points.length === 0) return "no values."
  const most = points.reduce((a, b) => (b.value ?? 0) > (a.value ?? 0) ? b : a)
  return `${points.length} days, the most is ${format(most.value)} on ${most.name}.`
}
