// Numbers as people read them.

export const UNKNOWN = "–"

export function percent(share) {
  if (!known(share)) return UNKNOWN
  if (share > 0 && share < 0.01) return "< 1 %"
  return `${Math.round(share * 100)} %`
}

export function money(dollars) {
  if (!known(dollars)) return UNKNOWN
  if (dollars === 0) return "free"
  if (dollars >= 0.01) return `$${dollars.toFixed(2)}`
  return `${significant(dollars * 100)} ¢`
}

// Sums of money, which may be nothing.
export function dollars(sum) {
  if (!known(sum)) return UNKNOWN
  if (sum === 0) return "$0"
  if (Math.abs(sum) < 0.01) return `$${significant(sum)}`
  return `$${sum.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`
}

export function compact(number) {
  return known(number) ? number.toLocaleString("en", { notation: "compact", maximumSignificantDigits: 3 }) : UNKNOWN
}

export function points(number) {
  return known(number) ? `${number > 0 ? "+" : ""}${Number(number.toFixed(1))}` : UNKNOWN
}

export function margin(number) {
  return known(number) ? `± ${Number(number.toFixed(1))}` : UNKNOWN
}

// A moment in the reader's time zone; `2026-11-29T10:00:00Z` or seconds since 1970.
export function moment(given) {
  if (given === null || given === undefined) return UNKNOWN
  const date = new Date(typeof given === "number" ? given * 1000 : given)
  return date.toLocaleString("en", { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hour12: false })
}

export function day(text) {
  return new Date(`${text}T00:00:00Z`).toLocaleDateString("en", { month: "short", day: "numeric", timeZone: "UTC" })
}

export function duration(milliseconds) {
  if (!known(milliseconds)) return UNKNOWN
  if (milliseconds < 999.5) return `${Math.round(milliseconds)} ms`
  if (milliseconds < 59_950) return `${(milliseconds / 1000).toFixed(1)} s`
  return `${(milliseconds / 60_000).toFixed(1)} min`
}

export function remaining(seconds) {
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

// A wait of less is nothing that a person would ask about.
export function long(milliseconds) {
  return known(milliseconds) && milliseconds >= 1000
}

export function energy(joules) {
  if (!known(joules)) return UNKNOWN
  if (joules >= 995) return `${significant(joules / 1000)} kJ`
  if (joules >= 0.995 || joules === 0) return `${significant(joules)} J`
  return `${significant(joules * 1000)} mJ`
}

export function whole(number) {
  return known(number) ? Math.round(number).toLocaleString("en") : UNKNOWN
}

function significant(number) {
  return Number(number.toPrecision(2)).toLocaleString("en", { maximumFractionDigits: 20 })
}

function known(number) {
  return typeof number === "number" && Number.isFinite(number)
}
