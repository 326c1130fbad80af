// The open conversation in the page's address, so that a reload and the back button find it.

const PREFIX = "#c="

export class Address {
  constructor(open) {
    addEventListener("hashchange", () => { if (this.id || location.hash === "") open(this.id) })
  }

  get id() {
    return location.hash.startsWith(PREFIX) ? location.hash.slice(PREFIX.length) : null
  }

  // An empty conversation has no address.
  show(id) {
    if (id === this.id) return
    const address = id ? `${PREFIX}${id}` : location.pathname + location.search
    if (this.id) history.pushState(null, "", address)
    else history.replaceState(null, "", address)
  }
}
