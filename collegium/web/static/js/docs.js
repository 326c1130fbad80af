// The page at /docs: each route of /openapi.json with what it takes.

import { element } from "/static/js/lib/dom.js"

const page = document.getElementById("docs")
const response = await fetch("/openapi.json")
const api = await response.json()

for (const [path, methods] of Object.entries(api.paths)) {
  for (const [method, route] of Object.entries(methods)) page.append(routeView(method, path, route))
}

function routeView(method, path, route) {
  const schema = route.requestBody?.content?.["application/json"]?.schema
  return element("section", { class: "docs__route" },
    element("h2", {},
      element("span", { class: "docs__method" }, method.toUpperCase()), " ", element("code", {}, path)),
    element("p", {}, route.description ?? route.summary ?? ""),
    parametersView(route.parameters ?? []),
    schema && element("details", {},
      element("summary", {}, "Body"),
      element("pre", {}, JSON.stringify(resolved(schema), null, 2))))
}

function parametersView(parameters) {
  if (parameters.length === 0) return null
  return element("ul", {}, ...parameters.map(parameter =>
    element("li", {}, element("code", {}, parameter.name), ` in the ${parameter.in}`)))
}

// The schema that a reference names; references within it stay as they are.
function resolved(schema) {
  const name = schema.$ref?.split("/").at(-1)
  return name ? api.components.schemas[name] : schema
}
