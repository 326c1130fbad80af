// Keep the end in sight while text grows, unless the person scrolled away or works with what is there.

const NEAR = 120

export class ScrollFollower {
  #following = true

  constructor(element) {
    addEventListener("scroll", () => { this.#following = nearEnd() }, { passive: true })
    element.addEventListener("click", () => { this.#following = false })
    new ResizeObserver(() => { if (this.#following) this.jump() }).observe(element)
  }

  jump() {
    this.#following = true
    page().scrollTop = page().scrollHeight
  }
}

function nearEnd() {
  const { scrollTop, scrollHeight, clientHeight } = page()
  return scrollHeight - scrollTop - clientHeight < NEAR
}

function page() {
  return document.scrollingElement
}
