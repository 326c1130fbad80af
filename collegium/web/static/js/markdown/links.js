// Which addresses an answer may link to: other sites and mail, never scripts, data or this service.

const ALLOWED = new Set(["http:", "https:", "mailto:"])

export function safeAddress(href) {
  try {
    const url = new URL(href)
    return ALLOWED.has(url.protocol) ? url.href : null
  } catch {
    return null
  }
}
