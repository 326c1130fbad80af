// A conversation as a file: JSON to be imported again, or Markdown to be read.

import { FORMAT, VERSION } from "/static/js/models/imported.js"

export function asJson({ session: _, ...record }, title) {
  return `${JSON.stringify({ format: FORMAT, version: VERSION, title, ...record }, null, 2)}\n`
}

export function asMarkdown({ exchanges, created }, title) {
  const date = new Date(created).toISOString().slice(0, 10)
  return [`# ${title}`, `*${date}*`, ...exchanges.flatMap(exchange)].join("\n\n") + "\n"
}

// Letters and numbers of any script, for any file system.
export function fileName(title, extension) {
  const words = title.normalize("NFC").replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "")
  return `${[...words].slice(0, 60).join("") || "conversation"}.${extension}`
}

function exchange({ question, attachments, answers, picked }) {
  const chosen = picked ?? 0
  return [
    "## Question", question, ...attachments.map(attachment),
    ...answers.flatMap((answer, index) => one(answer, answers.length > 1 && index === chosen)),
  ].filter(part => part !== "")
}

function attachment({ kind, name, alt, text }) {
  if (kind === "image") return `*Image: ${name}${alt ? ` (${alt})` : ""}*`
  const fence = "`".repeat(Math.max(3, ...[...text.matchAll(/`+/g)].map(([marks]) => marks.length + 1)))
  return `*File: ${name}*\n\n${fence}\n${text}\n${fence}`
}

function one({ text, by, decision, requested, error }, used) {
  const expert = by ?? decision?.expert ?? requested
  return [`### ${expert}${used ? " (in the conversation)" : ""}`, text.trim(), error ? `*No answer: ${error.message}*` : ""]
}
