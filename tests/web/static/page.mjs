// Lets node import the page's modules by the addresses that the service gives them.
//
// `node --import ./tests/web/static/page.mjs --test FILES`; `/static/…` is collegium/web/static.

import { register } from "node:module"

register(`data:text/javascript,${encodeURIComponent(hooks(new URL("../../../collegium/web/static/", import.meta.url)))}`)

// Debian 12's node 18 has no CustomEvent, which browsers have.
globalThis.CustomEvent ??= class CustomEvent extends Event {
  constructor(type, { detail = null, ...options } = {}) {
    super(type, options)
    this.detail = detail
  }
}

// Without a package.json, node would take .js files for CommonJS; browsers know only modules.
function hooks(root) {
  return `
    const root = new URL(${JSON.stringify(root.href)})
    const here = new URL(${JSON.stringify(new URL(".", import.meta.url).href)})

    export async function resolve(specifier, context, next) {
      const asked = specifier.startsWith("/static/") ? new URL(specifier.slice(8), root).href : specifier
      const found = await next(asked, context)
      const ours = [root, here].some(({ href }) => found.url.startsWith(href))
      return ours ? { ...found, format: "module" } : found
    }
  `
}
