// Where in the console somebody is: `#/decisions/dec_1?expert=sql`. A key is never part of it.

export function parsePlace(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?", 2)
  const [page, ...rest] = path.split("/").map(decoded)
  return { page: page || "overview", id: rest.join("/") || null, params: Object.fromEntries(new URLSearchParams(query)) }
}

export function placeHash(page, id = null, params = {}) {
  const query = queryOf(params)
  return `#/${page}${id === null ? "" : `/${encodeURIComponent(id)}`}${query}`
}

// Empty values are left out; arrays are repeated.
export function queryOf(params) {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(params)) {
    for (const each of [value].flat()) if (each !== null && each !== undefined && each !== "") query.append(name, each)
  }
  return query.size === 0 && query.toString() === "" ? "" : `?${query}`
}

function decoded(part) {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}
