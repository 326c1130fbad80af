// What goes along with a question: images and files of text, and how they are sent.

export const IMAGE_TYPES = ["image/png", "image/jpeg", "image/webp", "image/gif"]
export const MOST_ATTACHMENTS = 8
export const LONGEST_TEXT = 200_000

const IMAGE_ADDRESS = /^data:image\/(?:png|jpeg|webp|gif);base64,[A-Za-z0-9+/]+=*$/

export function isImageAddress(url) {
  return typeof url === "string" && IMAGE_ADDRESS.test(url)
}

// A message's content: its words alone, or parts where something goes along.
export function contentOf(question, attachments) {
  if (attachments.length === 0) return question
  return [...question ? [text(question)] : [], ...attachments.flatMap(parts)]
}

// What a file says, or null where it is no text.
export function textOf(bytes) {
  try {
    const words = new TextDecoder("utf-8", { fatal: true }).decode(bytes)
    return words.includes("\0") ? null : words
  } catch {
    return null
  }
}

function parts({ kind, name, alt, url, text: words }) {
  if (kind === "text") return [text(`File "${name}":\n\n${words}`)]
  return [...alt ? [text(`Image "${name}": ${alt}`)] : [], { type: "image_url", image_url: { url } }]
}

function text(words) {
  return { type: "text", text: words }
}

export class Unattachable extends Error {}
