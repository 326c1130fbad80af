// The kept conversations on the page: the list, its place, the address, files in and out.

import { download } from "/static/js/lib/download.js"
import { Unreadable } from "/static/js/models/checked.js"
import { Desk } from "/static/js/models/desk.js"
import { asJson, asMarkdown, fileName } from "/static/js/models/exported.js"
import { LARGEST_FILE } from "/static/js/models/imported.js"
import { Keeper } from "/static/js/models/keeper.js"
import { Library } from "/static/js/models/library.js"
import { openStore } from "/static/js/store/browser_store.js"
import { Address } from "/static/js/views/address.js"
import { LibraryPanel } from "/static/js/views/library_panel.js"
import { LibraryPlace } from "/static/js/views/library_place.js"

export class Shelf {
  #conversation
  #announcer
  #section
  #problem
  #place
  #library
  #desk
  #ready
  #address = new Address(id => id ? this.#open(id) : this.startAnew())

  constructor({ $, conversation, asker, announcer }) {
    this.#conversation = conversation
    this.#announcer = announcer
    this.#section = $("conversation")
    this.#problem = $("library").querySelector("[data-part=problem]")
    this.#place = new LibraryPlace({ panel: $("library"), dialog: $("library-dialog"), button: $("library-toggle") })
    this.#ready = openStore().then(store => this.#fill(store, { $, asker }))
  }

  // What was kept, and the conversation that the address names.
  async unpack() {
    await this.#ready
    await this.#library.load()
    if (this.#address.id && this.#conversation.empty && !await this.#library.open(this.#address.id)) this.#address.show(null)
    this.#library.addEventListener("change", () => this.#address.show(this.#conversation.empty ? null : this.#conversation.session))
  }

  async startAnew() {
    await this.#ready
    await this.#desk.startAnew()
    this.#address.show(null)
  }

  async branch(exchange) {
    await this.#ready
    await this.#desk.branch(exchange)
  }

  #fill(store, { $, asker }) {
    this.#library = new Library(store, this.#conversation)
    const keeper = new Keeper({ library: this.#library, conversation: this.#conversation, asker })
    this.#desk = new Desk({ library: this.#library, keeper, asker, conversation: this.#conversation })
    const act = {
      open: id => this.#open(id),
      rename: (id, title) => this.#library.rename(id, title),
      remove: id => this.#remove(id),
      export: (id, kind) => this.#export(id, kind),
      import: file => this.#import(file),
    }
    new LibraryPanel($("library"), { library: this.#library, act, announcer: this.#announcer, lasting: store.lasting })
    addEventListener("pagehide", () => keeper.flush())
    // Another window may have changed the list meanwhile.
    document.addEventListener("visibilitychange", () => document.hidden ? keeper.flush() : this.#library.load())
  }

  async #open(id) {
    if (!await this.#desk.open(id)) return this.#announcer.say("That conversation is not here any more.")
    this.#place.leave()
    this.#section.focus({ preventScroll: true })
    this.#announcer.say(`Opened: ${this.#conversation.title}`)
  }

  async #remove(id) {
    await this.#desk.remove(id)
    this.#announcer.say("Deleted.")
  }

  async #export(id, kind) {
    const record = await this.#library.record(id)
    const { title } = this.#library.heads.find(head => head.id === id)
    if (kind === "md") download(fileName(title, "md"), asMarkdown(record, title), "text/markdown")
    else download(fileName(title, "json"), asJson(record, title), "application/json")
    this.#announcer.say("Exported.")
  }

  async #import(file) {
    try {
      if (file.size > LARGEST_FILE) throw new Unreadable("The file is larger than 50 MB")
      if (await this.#desk.import(await file.text())) this.#place.leave()
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error
      this.#problem.hidden = false
      this.#problem.textContent = `${file.name} was not imported: ${error.message}.`
    }
  }
}
