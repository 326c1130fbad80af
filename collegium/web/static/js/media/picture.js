// An image made small enough to be sent: its sides, its bytes, and nothing in it of where a photo was taken.

import { Unattachable } from "/static/js/models/attachment.js"

const LONGEST_SIDE = 2048
const MOST_BYTES = 2 ** 20
const LARGEST_FILE = 50 * 2 ** 20
const QUALITIES = [0.88, 0.75, 0.6]
const SMALLER = 0.7

export async function pictureOf(file) {
  if (file.size > LARGEST_FILE) throw new Unattachable(`${file.name} is larger than 50 MB.`)
  const bitmap = await decoded(file)
  try {
    return await dataAddress(await small(file, bitmap))
  } finally {
    bitmap.close()
  }
}

async function decoded(file) {
  try {
    return await createImageBitmap(file)
  } catch (error) {
    if (!(error instanceof DOMException)) throw error
    throw new Unattachable(`${file.name} is no image that this browser can read.`)
  }
}

// A small GIF stays as it is, for it may move. Photos are drawn anew, which drops what the camera noted.
async function small(file, bitmap) {
  const side = Math.max(bitmap.width, bitmap.height)
  if (file.type === "image/gif" && side <= LONGEST_SIDE && file.size <= MOST_BYTES) return file
  for (let scale = Math.min(1, LONGEST_SIDE / side); ; scale *= SMALLER) {
    const canvas = drawn(bitmap, scale)
    const found = await fitting(canvas, file.type)
    if (found) return found
  }
}

async function fitting(canvas, type) {
  if (type !== "image/jpeg") {
    const exact = await encoded(canvas, "image/png")
    if (exact.size <= MOST_BYTES) return exact
  }
  for (const quality of QUALITIES) {
    const photo = await encoded(canvas, "image/jpeg", quality)
    if (photo.size <= MOST_BYTES) return photo
  }
  return null
}

// White lies behind what is transparent, for JPEG would make it black.
function drawn(bitmap, scale) {
  const canvas = document.createElement("canvas")
  canvas.width = Math.max(1, Math.round(bitmap.width * scale))
  canvas.height = Math.max(1, Math.round(bitmap.height * scale))
  const context = canvas.getContext("2d")
  context.fillStyle = "white"
  context.fillRect(0, 0, canvas.width, canvas.height)
  context.imageSmoothingQuality = "high"
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height)
  return canvas
}

function encoded(canvas, type, quality) {
  return new Promise(resolve => canvas.toBlob(resolve, type, quality))
}

function dataAddress(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader()
    reader.onload = () => resolve(reader.result)
    reader.onerror = () => reject(reader.error)
    reader.readAsDataURL(blob)
  })
}
