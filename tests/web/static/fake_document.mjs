// As much of a document as the page's small builders need. tests/browser has a real one.

class FakeElement extends EventTarget {
  #parent = null
  attributes = {}
  childNodes = []
  style = { properties: {}, setProperty: (name, value) => { this.style.properties[name] = String(value) } }

  constructor(tag) {
    super()
    this.tag = tag
  }

  get children() {
    return this.childNodes.filter(child => child instanceof FakeElement)
  }

  get textContent() {
    return this.childNodes.map(child => child.textContent ?? child).join("")
  }

  setAttribute(name, value) {
    this.attributes[name] = String(value)
  }

  append(...children) {
    for (const child of children) {
      const node = child instanceof FakeElement ? child : String(child)
      if (node instanceof FakeElement) node.#adoptedBy(this)
      this.childNodes.push(node)
    }
  }

  replaceChildren(...children) {
    for (const child of this.children) child.remove()
    this.childNodes = []
    this.append(...children)
  }

  remove() {
    if (this.#parent) this.#parent.childNodes = this.#parent.childNodes.filter(child => child !== this)
    this.#parent = null
  }

  // In a short notation: tag, attributes, children.
  get tree() {
    return [this.tag, this.attributes, ...this.childNodes.map(child => child.tree ?? child)]
  }

  #adoptedBy(parent) {
    this.remove()
    this.#parent = parent
  }
}

globalThis.document = {
  createElement: tag => new FakeElement(tag),
  createElementNS: (_, tag) => new FakeElement(tag),
}
