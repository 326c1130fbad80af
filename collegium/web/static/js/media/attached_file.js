// A file that a person chose, pasted or dropped, as an attachment.

import { pictureOf } from "/static/js/media/picture.js"
import { IMAGE_TYPES, LONGEST_TEXT, textOf, Unattachable } from "/static/js/models/attachment.js"

export async function attachmentFrom(file) {
  const name = file.name || "pasted"
  if (IMAGE_TYPES.includes(file.type)) return { kind: "image", name, alt: "", url: await pictureOf(file) }
  if (file.size > 4 * LONGEST_TEXT) throw tooLong(name)
  const text = textOf(await file.arrayBuffer())
  if (text === null) throw new Unattachable(`${name} is neither text nor a PNG, JPEG, WebP or GIF.`)
  if (text.length > LONGEST_TEXT) throw tooLong(name)
  return { kind: "text", name, text }
}

function tooLong(name) {
  return new Unattachable(`${name} is longer than ${LONGEST_TEXT.toLocaleString("en")} characters.`)
}
