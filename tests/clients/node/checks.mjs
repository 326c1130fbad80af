// What every client's program needs: where to ask, and what is to be seen.
import assert from 'node:assert/strict'

export const [BASE, KEY, MODEL, kind] = process.argv.slice(2)
export const SCRIPTED = kind === 'scripted'
export const WEATHER = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] }
export const same = (found, expected) => assert.deepEqual(found, expected)

// An answer's text: of the scripted expert the expected one, of a real one any.
export const said = (found, expected) => (SCRIPTED ? same(found, expected) : assert.ok(found))
