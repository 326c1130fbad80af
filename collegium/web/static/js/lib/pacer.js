// Draw at most once a frame, and for at most a quarter of the time, however long one drawing takes.

const REST = 3

export class Pacer {
  #draw
  #frame
  #now
  #asked = false
  #notBefore = 0

  constructor(draw, { frame = act => requestAnimationFrame(act), now = () => performance.now() } = {}) {
    this.#draw = draw
    this.#frame = frame
    this.#now = now
  }

  soon() {
    if (this.#asked) return
    this.#asked = true
    this.#frame(() => this.#turn())
  }

  #turn() {
    const started = this.#now()
    if (started < this.#notBefore) return this.#frame(() => this.#turn())
    this.#asked = false
    this.#draw()
    const ended = this.#now()
    this.#notBefore = ended + REST * (ended - started)
  }
}
