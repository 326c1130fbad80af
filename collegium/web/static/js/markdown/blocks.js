// Cut Markdown into blocks: code, lists, headings, paragraphs. What is not one of these stays text.

const FENCE = /^\s{0,3}(`{3,}|~{3,})\s*([\w+#.-]*)[^`]*$/
const HEADING = /^#{1,6}\s+(.+?)(?:\s+#+)?\s*$/
const BULLET = /^\s{0,3}[-*+]\s+(.*)$/
const NUMBER = /^\s{0,3}(\d{1,6})[.)]\s+(.*)$/

// Specialists answer with bare SQL or JSON, as they were taught.
const BARE_CODE = /^(?:(SELECT|WITH)\s|[{[]\s*["{[])/

export function blocksOf(text) {
  const bare = BARE_CODE.exec(text)
  if (bare) return [{ kind: "code", language: bare[1] ? "SQL" : "JSON", text }]
  return markdownBlocks(text)
}

function markdownBlocks(text) {
  const lines = text.replace(/\r\n?/g, "\n").split("\n")
  const blocks = []
  for (let at = 0; at < lines.length;) {
    const block = codeAt(lines, at) ?? headingAt(lines, at) ?? listAt(lines, at) ?? paragraphAt(lines, at)
    if (block.kind !== "blank") blocks.push(block)
    at += block.length
  }
  return blocks
}

function codeAt(lines, at) {
  const [, fence, language] = FENCE.exec(lines[at]) ?? []
  if (!fence) return null
  const rest = lines.slice(at + 1)
  const end = rest.findIndex(line => closes(line.trim(), fence))
  const body = end < 0 ? rest : rest.slice(0, end)
  return { kind: "code", language, text: body.join("\n"), length: body.length + (end < 0 ? 1 : 2) }
}

// As long as the fence that opened the code, or longer.
function closes(line, fence) {
  return line.startsWith(fence) && [...line].every(mark => mark === fence[0])
}

function headingAt(lines, at) {
  const [, text] = HEADING.exec(lines[at]) ?? []
  return text ? { kind: "heading", text, length: 1 } : null
}

function listAt(lines, at) {
  return itemsAt(lines, at, BULLET, "bullets") ?? itemsAt(lines, at, NUMBER, "numbers")
}

function itemsAt(lines, at, pattern, kind) {
  const items = []
  for (const line of lines.slice(at)) {
    const item = pattern.exec(line)
    if (!item) break
    items.push(item)
  }
  if (items.length === 0) return null
  const start = kind === "numbers" ? Number(items[0][1]) : null
  return { kind, start, items: items.map(item => item.at(-1)), length: items.length }
}

function paragraphAt(lines, at) {
  if (lines[at].trim() === "") return { kind: "blank", length: 1 }
  const others = lines.slice(at + 1).findIndex(line => line.trim() === "" || opensBlock(line))
  const length = others < 0 ? lines.length - at : others + 1
  return { kind: "paragraph", text: lines.slice(at, at + length).join("\n"), length }
}

function opensBlock(line) {
  return [FENCE, HEADING, BULLET, NUMBER].some(pattern => pattern.test(line))
}
