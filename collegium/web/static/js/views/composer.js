// The question box: Enter sends, Shift+Enter starts a line, Escape and the button stop.

export class Composer {
  #form
  #input
  #send
  #stop
  #asker
  #draft
  #submit

  constructor({ form, asker, draft, submit }) {
    this.#form = form
    this.#input = form.querySelector("#question")
    this.#send = form.querySelector("#send")
    this.#stop = form.querySelector("#stop")
    this.#asker = asker
    this.#draft = draft
    this.#submit = submit
    this.#listen()
    this.#show()
  }

  focus() {
    this.#input.focus()
  }

  #listen() {
    this.#form.addEventListener("submit", event => this.#sendQuestion(event))
    this.#input.addEventListener("keydown", event => this.#submitByKeyboard(event))
    this.#input.addEventListener("input", () => this.#show())
    this.#stop.addEventListener("click", () => this.#stopAnswering())
    document.addEventListener("keydown", event => this.#stopByKeyboard(event))
    this.#asker.addEventListener("change", () => this.#show())
    this.#draft.addEventListener("change", () => this.#show())
  }

  #sendQuestion(event) {
    event.preventDefault()
    const question = this.#input.value.trim()
    if (!question && this.#draft.empty || this.#asker.busy) return
    this.#input.value = ""
    this.#submit(question, this.#draft.take())
    this.#show()
    this.focus()
  }

  // Enter that only confirms an input method's suggestion must not send.
  #submitByKeyboard(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return
    event.preventDefault()
    this.#form.requestSubmit()
  }

  #stopByKeyboard(event) {
    if (event.key !== "Escape" || event.isComposing || document.querySelector("dialog:modal")) return
    if (this.#asker.busy) this.#stopAnswering()
  }

  #stopAnswering() {
    this.#asker.stop()
    this.focus()
  }

  #show() {
    const { busy } = this.#asker
    this.#stop.hidden = !busy
    this.#send.hidden = busy
    this.#send.toggleAttribute("data-idle", this.#input.value.trim() === "" && this.#draft.empty)
    this.#grow()
  }

  #grow() {
    this.#input.style.blockSize = "auto"
    this.#input.style.blockSize = `${this.#input.scrollHeight}px`
  }
}
