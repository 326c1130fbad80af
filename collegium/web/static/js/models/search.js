// Find words in conversations, whatever their case and accents.

export function wordsOf(query) {
  return plain(query).split(/\s+/).filter(word => word !== "")
}

export function hasWords(title, { exchanges }, words) {
  const text = plain([title, ...exchanges.flatMap(texts)].join("\n"))
  return words.every(word => text.includes(word))
}

function texts({ question, attachments, answers }) {
  return [
    question,
    ...attachments.map(({ name, alt = "", text = "" }) => `${name}\n${alt}\n${text}`),
    ...answers.map(({ text }) => text),
  ]
}

function plain(text) {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase()
}
