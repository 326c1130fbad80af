// The list of conversations with its search: beside the page where there is room, else over it.

import { fill } from "/static/js/lib/dom.js"
import { LibraryItem } from "/static/js/views/library_item.js"

const LASTING = "Kept in this browser only."
const FLEETING = "This browser keeps nothing: conversations are lost when the page is closed."
const TYPING_MS = 150

export class LibraryPanel {
  #node
  #library
  #act
  #announcer
  #items = new Map()
  #found = null
  #searching = new AbortController()
  #typing = null

  constructor(node, { library, act, announcer, lasting }) {
    this.#node = node
    this.#library = library
    this.#act = act
    this.#announcer = announcer
    fill(this.#part("note"), lasting ? LASTING : FLEETING)
    this.#part("search").addEventListener("input", () => this.#soon())
    this.#part("import").addEventListener("click", () => this.#part("file").click())
    this.#part("file").addEventListener("change", event => this.#import(event.target))
    library.addEventListener("change", () => this.show())
    this.show()
  }

  show() {
    const heads = this.#library.heads.filter(({ id }) => this.#found?.has(id) ?? true)
    for (const [id, item] of this.#items) if (!heads.some(head => head.id === id)) this.#drop(id, item)
    for (const head of heads) this.#show(head)
    this.#arrange(heads.map(({ id }) => this.#items.get(id).element))
    fill(this.#part("empty"), heads.length > 0 ? "" : this.#found ? "No conversation has these words." : "No conversation yet.")
    const { problem } = this.#library
    this.#part("problem").hidden = !problem
    fill(this.#part("problem"), problem?.message ?? "")
  }

  #show(head) {
    if (!this.#items.has(head.id)) this.#items.set(head.id, new LibraryItem(head, this.#act))
    this.#items.get(head.id).show(head, { current: head.id === this.#library.current })
  }

  // A node that is moved loses its focus.
  #arrange(nodes) {
    const list = this.#part("list")
    if (nodes.every((node, index) => list.children[index] === node)) return
    const focused = document.activeElement
    list.append(...nodes)
    if (list.contains(focused)) focused.focus()
  }

  #drop(id, item) {
    const focused = item.element.contains(document.activeElement)
    this.#items.delete(id)
    item.element.remove()
    if (focused) this.#part("search").focus()
  }

  #soon() {
    clearTimeout(this.#typing)
    this.#typing = setTimeout(() => this.#search(this.#part("search").value), TYPING_MS)
  }

  async #search(words) {
    this.#searching.abort()
    this.#searching = new AbortController()
    const { signal } = this.#searching
    const found = words.trim() ? await this.#library.search(words, signal) : null
    if (signal.aborted) return
    this.#found = found && new Set(found.map(({ id }) => id))
    this.show()
    if (found) this.#announcer.say(found.length === 1 ? "1 conversation found." : `${found.length} conversations found.`)
  }

  async #import(chooser) {
    const [file] = chooser.files
    if (file) await this.#act.import(file)
    chooser.value = ""
  }

  #part(name) {
    return this.#node.querySelector(`[data-part="${name}"]`)
  }
}
