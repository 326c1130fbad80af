// A series of nodes that grows at its end: what stayed the same at its start is left as it is.

export class Series {
  #parent
  #build
  #keys = []

  constructor(parent, build) {
    this.#parent = parent
    this.#build = build
  }

  show(items, keyOf) {
    const keys = items.map(keyOf)
    const different = keys.findIndex((key, index) => key !== this.#keys[index])
    const same = different < 0 ? keys.length : different
    for (const stale of [...this.#parent.children].slice(same)) stale.remove()
    this.#parent.append(...items.slice(same).map(this.#build))
    this.#keys = keys
  }
}
