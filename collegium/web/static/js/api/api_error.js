// A request that failed: the one error that the page shows to people.

export class ApiError extends Error {
  constructor(message, { status = 0, code = "", retryAfter = null } = {}) {
    super(message)
    this.name = "ApiError"
    this.status = status
    this.code = code
    this.retryAfter = retryAfter
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

function seconds(header) {
  const number = Number.parseFloat(header ?? "")
  return Number.isFinite(number) ? number : null
}
