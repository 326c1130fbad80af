// A request that failed: the one error that the page shows to people.

export class ApiError extends Error {
  constructor(message, { status = 0, code = "", retryAfter = null } = {}) {
    super(message)
    this.name = "ApiError"
    this.status = status
    this.code = code
    this.retryAfter = retryAfter
    this.until = retryAfter === null ? null : Date.now() + retryAfter * 1000
  }

  static async from(response) {
    const problem = await problemIn(response)
    return new ApiError(problem.message ?? `The service answered ${response.status}.`, {
      status: response.status,
      code: problem.code ?? "",
      retryAfter: seconds(response.headers.get("retry-after")),
    })
  }

  static unreachable() {
    return new ApiError("The service can't be reached.", { code: "unreachable" })
  }

  static cutOff() {
    return new ApiError("The answer broke off.", { code: "cut_off" })
  }

  static unreadable() {
    return new ApiError("The page could not read the answer.", { code: "unreadable" })
  }

  get passes() {
    return this.status === 503
  }
}

async function problemIn(response) {
  try {
    return (await response.json()).error ?? {}
  } catch {
    return {}
  }
}

// A number of seconds, or the time of day until when to wait.
function seconds(header) {
  const number = Number.parseFloat(header ?? "")
  if (Number.isFinite(number) && /^[\d.]+$/.test(header.trim())) return number
  const until = Date.parse(header ?? "")
  return Number.isFinite(until) ? Math.max(0, (until - Date.now()) / 1000) : null
}
