// What only the operator's key may see is left out for others; what else goes wrong is told.

import { ApiError } from "/static/js/api/api_error.js"

export async function operatorOnly(asked) {
  try {
    return await asked
  } catch (error) {
    if (error instanceof ApiError && error.status === 403) return null
    throw error
  }
}
