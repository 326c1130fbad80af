// Vercel's AI SDK: OpenAI's provider (Responses by default, chat by choice) and Anthropic's.
import { createAnthropic } from '@ai-sdk/anthropic'
import { createOpenAI } from '@ai-sdk/openai'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { embedMany, generateObject, generateText, jsonSchema, stepCountIs, streamText, tool } from 'ai'
import { BASE, KEY, MODEL, SCRIPTED, WEATHER, said, same } from './checks.mjs'

const openai = createOpenAI({ baseURL: `${BASE}/v1`, apiKey: KEY })
const anthropic = createAnthropic({ baseURL: `${BASE}/v1`, apiKey: KEY })
const compatible = createOpenAICompatible({ name: 'ours', baseURL: `${BASE}/v1`, apiKey: KEY })
const weather = tool({
  description: 'The weather',
  inputSchema: jsonSchema(WEATHER),
  execute: async ({ city }) => `sunny in ${city}`,
})
const trip = jsonSchema({
  type: 'object',
  properties: { city: { type: 'string' }, days: { type: 'integer' } },
  required: ['city', 'days'],
  additionalProperties: false,
})

for (const model of [openai(MODEL), openai.chat(MODEL), anthropic(MODEL), compatible(MODEL)]) {
  const asked = { model, prompt: 'Hello there', maxOutputTokens: 16, maxRetries: 0 }
  said((await generateText(asked)).text, 'You said: Hello there')
  said(await streamText(asked).text, 'You said: Hello there')
  if (!SCRIPTED) continue
  const looped = { ...asked, tools: { weather }, stopWhen: stepCountIs(3) }
  same((await generateText(looped)).text, 'The result is sunny in Paris.')
  same(await streamText(looped).text, 'The result is sunny in Paris.')
  if (model.provider !== 'ours.chat') {
    same((await generateObject({ ...asked, schema: trip })).object, { city: 'Paris', days: 7 })
  }
}
const { embeddings } = await embedMany({ model: openai.embedding('auto'), values: ['one', 'two'], maxRetries: 0 })
same(embeddings.length, 2)
