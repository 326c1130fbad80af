// What a browser does with a file that a page has made.

export class FakeDownload {
  handed = []
  revoked = []
  #blobs = []

  constructor() {
    URL.createObjectURL = blob => `blob:${this.#blobs.push(blob)}`
    URL.revokeObjectURL = address => this.revoked.push(address)
    globalThis.document = { createElement: () => this.#link() }
  }

  #link() {
    const { handed } = this
    const blobs = this.#blobs
    return { click() { handed.push({ name: this.download, href: this.href, blob: blobs.at(-1) }) } }
  }
}
