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

export function duration(milliseconds) {
  if (!known(milliseconds)) return UNKNOWN
  if (milliseconds < 999.5) return `${Math.round(milliseconds)} ms`
  if (milliseconds < 59_950) return `${(milliseconds / 1000).toFixed(1)} s`
  return `${(milliseconds / 60_000).toFixed(1)} min`
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
