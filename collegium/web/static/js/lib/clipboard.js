// Copy text; the old way remains for pages served without TLS, which have no clipboard API.

export async function copyText(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text)
  if (!copyBySelection(text)) throw new DOMException("The browser refused to copy", "NotAllowedError")
}

function copyBySelection(text) {
  const area = document.createElement("textarea")
  const focused = document.activeElement
  area.value = text
  area.className = "visually-hidden"
  document.body.append(area)
  area.select()
  const copied = document.execCommand("copy")
  area.remove()
  focused?.focus()
  return copied
}
