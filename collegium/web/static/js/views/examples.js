// One question to try for each expert: what it is in short, and how it is asked.

const EXAMPLES = {
  conversion: {
    title: "Jul 6 2028 as YYYY-MM-DD",
    question: "Write the date Jul 6 2028 as YYYY-MM-DD. Give only the date as YYYY-MM-DD, nothing else.",
  },
  json: {
    title: "Anna's order of 58 red sofas, as JSON",
    question: "Give me name, item, price from the following as a JSON object only. Anna ordered 58 red sofas for 196.49 dollars each.",
  },
  labels: {
    title: "A hotel review: positive or negative?",
    question: "Label the sentiment of this review as positive or negative: Last year this hotel was simply superb, yet now everything is third rate. Reply with just the label.",
  },
  lists: {
    title: "Four words in alphabetical order",
    question: "Put this list in alphabetical order: bridge, umbrella, jewel, insect. Reply with only the resulting list, separated by commas.",
  },
  sql: {
    title: "The three oldest films, as a SQLite query",
    question: "Table: films(id, title, genre, year, minutes)\nList the title of the 3 films with the lowest year, lowest first. Write one SQLite query, nothing else.",
  },
}

const SMALL_TALK = {
  title: "Hello! What can you tell me about the sea?",
  question: "Hello! What can you tell me about the sea?",
}

export function exampleFor({ name, generalist }) {
  if (Object.hasOwn(EXAMPLES, name)) return EXAMPLES[name]
  return generalist ? SMALL_TALK : null
}
