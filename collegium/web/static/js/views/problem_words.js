// An error in words for people: what happened, what the service said, what to do now.

const WORDS = {
  unreachable: ["The service can't be reached.", "Is it running? Your question is kept: retry when it is."],
  left: ["The page was left before the answer came.", "Retry to ask again."],
  body_too_large: ["The conversation is too large to be sent.", "Start a new one, or attach fewer and smaller images."],
  cut_off: ["The answer broke off.", "Retry to get the whole answer."],
  expert_unavailable: ["The expert stopped working.", "It is started again by itself. Retry in a moment, or ask another expert."],
  expert_timeout: ["The expert took too long.", "It may be busy. Retry, or ask another expert."],
  expert_busy: ["The expert is busy.", "Retry later, or ask another expert."],
  application_budget_spent: ["This application has spent its budget.", "Retry when the next window begins."],
  too_many_wrong_keys: ["Too many wrong keys came from here.", "Wait, then enter the right one."],
  shutting_down: ["The service is about to end.", "Retry when it is back."],
  expert_rejected: ["The expert refused the question.", "Ask another expert."],
  context_length_exceeded: ["The question is too long for this expert.", "Shorten it, or start a new conversation."],
  model_not_found: ["That expert is not here any more.", "Ask another expert."],
  no_feasible_expert: ["No expert can take this question.", "Choose one by name."],
  invalid_api_key: ["The service wants an API key.", "Retry to enter it."],
}

export function problemWords({ code, message }) {
  const [title, hint] = Object.hasOwn(WORDS, code) ? WORDS[code] : [message, ""]
  return { title, detail: title === message ? "" : message, hint }
}
