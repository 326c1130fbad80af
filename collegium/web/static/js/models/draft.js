// What is about to go along with the next question.

import { IMAGE_TYPES, MOST_ATTACHMENTS, Unattachable } from "/static/js/models/attachment.js"

export class Draft extends EventTarget {
  #read
  attachments = []
  problem = ""

  constructor(read) {
    super()
    this.#read = read
  }

  get empty() {
    return this.attachments.length === 0
  }

  get hasImages() {
    return this.attachments.some(({ kind }) => kind === "image")
  }

  // `images` tells whether an expert takes them: yes, no or unknown.
  async add(files, { images }) {
    this.problem = ""
    for (const file of files) {
      try {
        await this.#add(file, images)
      } catch (error) {
        if (!(error instanceof Unattachable)) throw error
        this.problem = error.message
      }
    }
    this.#changed()
  }

  describe(attachment, alt) {
    attachment.alt = alt.trim()
  }

  remove(attachment) {
    this.attachments = this.attachments.filter(other => other !== attachment)
    this.problem = ""
    this.#changed()
  }

  take() {
    const { attachments } = this
    this.attachments = []
    this.problem = ""
    this.#changed()
    return attachments
  }

  async #add(file, images) {
    if (images === "no" && IMAGE_TYPES.includes(file.type)) throw new Unattachable("No expert that may answer takes images.")
    this.#refuseMore()
    const attachment = await this.#read(file)
    this.#refuseMore() // other files may have come meanwhile
    this.attachments = [...this.attachments, attachment]
  }

  #refuseMore() {
    if (this.attachments.length >= MOST_ATTACHMENTS) throw new Unattachable(`At most ${MOST_ATTACHMENTS} files go along with a question.`)
  }

  #changed() {
    this.dispatchEvent(new Event("change"))
  }
}
