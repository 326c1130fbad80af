// Build elements from text and attributes; nothing here ever parses HTML.

const SVG = "http://www.w3.org/2000/svg"

export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) set(node, name, value)
  node.append(...present(children))
  return node
}

export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag)
  for (const [name, value] of Object.entries(attributes)) set(node, name, value)
  node.append(...present(children))
  return node
}

export function icon(name) {
  return svg("svg", { class: "icon", "aria-hidden": "true" }, svg("use", { href: `/static/icons.svg#${name}` }))
}

export function fill(node, ...children) {
  node.replaceChildren(...present(children))
}

export function visuallyHidden(text) {
  return element("span", { class: "visually-hidden" }, text)
}

function set(node, name, value) {
  if (value === undefined || value === null || value === false) return
  if (name.startsWith("on")) node.addEventListener(name.slice(2), value)
  else node.setAttribute(name, value === true ? "" : value)
}

function present(children) {
  return children.flat().filter(child => child !== undefined && child !== null && child !== false)
}
