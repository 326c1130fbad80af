// Character references such as &amp; and &#39;, without a parser of HTML. What is no reference stays as it is.

const NAMED = {
  amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0", copy: "©", reg: "®", trade: "™", hellip: "…",
  ndash: "–", mdash: "—", lsquo: "‘", rsquo: "’", ldquo: "“", rdquo: "”", laquo: "«", raquo: "»", bull: "•", middot: "·",
  times: "×", divide: "÷", plusmn: "±", deg: "°", micro: "µ", frac12: "½", euro: "€", pound: "£", yen: "¥", cent: "¢",
  sect: "§", para: "¶", larr: "←", rarr: "→", uarr: "↑", darr: "↓", le: "≤", ge: "≥", ne: "≠", infin: "∞",
}
const REFERENCE = /&(?:#(\d{1,7})|#[xX]([\da-fA-F]{1,6})|([a-zA-Z]\w{1,7}));/g
const LAST = 0x10ffff

export function decoded(text) {
  return text.replace(REFERENCE, (written, decimal, hex, name) => {
    if (name) return Object.hasOwn(NAMED, name) ? NAMED[name] : written
    return character(Number.parseInt(decimal ?? hex, decimal ? 10 : 16))
  })
}

function character(code) {
  const valid = code > 0 && code <= LAST && !(code >= 0xd800 && code <= 0xdfff)
  return valid ? String.fromCodePoint(code) : "\ufffd"
}
