// Read values that may be anything, such as a file's: what is wrong is told with its place.

export class Unreadable extends Error {}

export function text(value, place, { most = 2_000_000 } = {}) {
  if (typeof value !== "string") throw new Unreadable(`${place} is not a text`)
  if (value.length > most) throw new Unreadable(`${place} is longer than ${most} characters`)
  return value
}

export function optional(read, value, place, options) {
  return value === undefined || value === null ? null : read(value, place, options)
}

export function number(value, place) {
  if (typeof value !== "number" || !Number.isFinite(value)) throw new Unreadable(`${place} is not a number`)
  return value
}

export function truth(value, place) {
  if (typeof value !== "boolean") throw new Unreadable(`${place} is neither true nor false`)
  return value
}

export function list(value, place, read, { most = 1_000 } = {}) {
  if (!Array.isArray(value)) throw new Unreadable(`${place} is not a list`)
  if (value.length > most) throw new Unreadable(`${place} has more than ${most} entries`)
  return value.map((each, index) => read(each, `${place}[${index}]`))
}

export function record(value, place, readers) {
  if (value === null || typeof value !== "object" || Array.isArray(value)) throw new Unreadable(`${place} is not an object`)
  return Object.fromEntries(Object.entries(readers).map(([name, read]) => [name, read(own(value, name), `${place}.${name}`)]))
}

export function numbers(value, place) {
  const names = Object.keys(record(value, place, {}) && value).slice(0, 1_000)
  return Object.fromEntries(names.map(name => [name, number(value[name], `${place}.${name}`)]))
}

export function oneOf(value, place, choices) {
  if (!choices.includes(value)) throw new Unreadable(`${place} is none of ${choices.join(", ")}`)
  return value
}

function own(value, name) {
  return Object.hasOwn(value, name) ? value[name] : undefined
}
