// Anthropic's SDK for Node.
import Anthropic from '@anthropic-ai/sdk'
import { BASE, KEY, MODEL, SCRIPTED, WEATHER, said, same } from './checks.mjs'

const client = new Anthropic({ baseURL: BASE, apiKey: KEY, maxRetries: 0 })
const asked = { model: MODEL, max_tokens: 16, messages: [{ role: 'user', content: 'Hello there' }] }
said((await client.messages.create(asked)).content[0].text, 'You said: Hello there')
said(await client.messages.stream(asked).finalText(), 'You said: Hello there')
if (SCRIPTED) {
  const tools = [{ name: 'weather', description: 'The weather', input_schema: WEATHER }]
  const called = await client.messages.stream({ ...asked, tools }).finalMessage()
  same(called.content.find((block) => block.type === 'tool_use').input, { city: 'Paris' })
}
