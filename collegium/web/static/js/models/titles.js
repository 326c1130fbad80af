// What a conversation is called: the first line of its first question.

const LONGEST = 80

export function titleOf(exchange) {
  const line = exchange?.question.split("\n").find(each => each.trim() !== "")?.trim()
  if (!line) return exchange?.attachments[0]?.name ?? "New conversation"
  return shortened(line)
}

export function shortened(title) {
  const characters = [...title.trim().replace(/\s+/g, " ")]
  return characters.length > LONGEST ? `${characters.slice(0, LONGEST - 1).join("")}…` : characters.join("")
}
