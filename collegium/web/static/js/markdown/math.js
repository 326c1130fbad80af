// Mathematics in Markdown, which stays text: its underscores and asterisks mark nothing.

const INLINE = [
  /^\$\$(?:\\.|[^\\$]){1,2000}\$\$/s,
  /^\$(?=[^\s$])(?:\\.|[^\\$\n]){1,1000}(?<!\s)\$(?!\d)/,
  /^\\\((?:(?!\\\)|\n\n).){1,2000}\\\)/s,
  /^\\\[(?:(?!\\\]|\n\n).){1,2000}\\\]/s,
]
const BLOCK = /^ {0,3}(?:\$\$(?:(?!\$\$|\n[ \t]*\n).){1,4000}\$\$|\\\[(?:(?!\\\]|\n[ \t]*\n).){1,4000}\\\])[ \t]*(?:\n+|$)/s
const BLOCK_WITHIN = new RegExp(`\\n(?=${BLOCK.source.slice(1)})`, "s")

// What marked calls extensions: each finds a token at the start of the source, or where the next may begin.
export const mathExtensions = {
  block: [source => tokenOf("math_block", BLOCK.exec(source))],
  startBlock: [source => placeOf(source.search(BLOCK_WITHIN), 1)],
  inline: [source => tokenOf("math", INLINE.map(pattern => pattern.exec(source)).find(Boolean))],
  startInline: [source => placeOf(source.search(/\$|\\[([]/), 0)],
}

function tokenOf(type, match) {
  return match ? { type, raw: match[0], text: match[0].trim() } : undefined
}

function placeOf(index, further) {
  return index < 0 ? undefined : index + further
}
