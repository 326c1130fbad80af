// Three ways for files to the question: the button, the clipboard, and dropping them on the page.

export class FileSources {
  #form
  #add

  constructor({ form, add }) {
    this.#form = form
    this.#add = add
    const chooser = form.querySelector("#files")
    form.querySelector("#attach").addEventListener("click", () => chooser.click())
    chooser.addEventListener("change", () => this.#chosen(chooser))
    form.querySelector("#question").addEventListener("paste", event => this.#pasted(event))
    for (const type of ["dragenter", "dragover"]) document.addEventListener(type, event => this.#over(event))
    document.addEventListener("dragleave", event => { if (!event.relatedTarget) this.#mark(false) })
    document.addEventListener("drop", event => this.#dropped(event))
  }

  #chosen(chooser) {
    this.#add([...chooser.files])
    chooser.value = "" // the same file may be chosen again
  }

  #pasted(event) {
    const files = [...event.clipboardData?.files ?? []]
    if (files.length === 0) return
    event.preventDefault()
    this.#add(files)
  }

  #over(event) {
    if (!event.dataTransfer?.types.includes("Files")) return
    event.preventDefault()
    this.#mark(true)
  }

  #dropped(event) {
    this.#mark(false)
    const files = [...event.dataTransfer?.files ?? []]
    if (files.length === 0) return
    event.preventDefault()
    this.#add(files)
  }

  #mark(over) {
    this.#form.toggleAttribute("data-dropping", over)
  }
}
