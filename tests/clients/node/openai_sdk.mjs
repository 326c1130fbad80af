// OpenAI's SDK for Node.
import OpenAI from 'openai'
import { BASE, KEY, MODEL, SCRIPTED, WEATHER, said, same } from './checks.mjs'

const client = new OpenAI({ baseURL: `${BASE}/v1`, apiKey: KEY, maxRetries: 0 })
const messages = [{ role: 'user', content: 'Hello there' }]
const tool = { name: 'weather', description: 'The weather', parameters: WEATHER }

const answer = await client.chat.completions.create({ model: MODEL, messages, max_tokens: 16 })
said(answer.choices[0].message.content, 'You said: Hello there')
const stream = client.chat.completions.stream({ model: MODEL, messages, max_tokens: 16 })
said(await stream.finalContent(), 'You said: Hello there')

const response = await client.responses.create({ model: MODEL, input: 'Hello there', max_output_tokens: 16 })
said(response.output_text, 'You said: Hello there')
const typed = client.responses.stream({ model: MODEL, input: 'Hello there', max_output_tokens: 16 })
said((await typed.finalResponse()).output_text, 'You said: Hello there')

if (SCRIPTED) {
  const runner = client.chat.completions.runTools({
    model: MODEL,
    messages,
    stream: true,
    tools: [
      { type: 'function', function: { ...tool, parse: JSON.parse, function: ({ city }) => `sunny in ${city}` } },
    ],
  })
  same(await runner.finalContent(), 'The result is sunny in Paris.')
}
same((await client.models.retrieve('auto')).id, 'auto')
same((await client.embeddings.create({ model: 'auto', input: 'one' })).data.length, 1)
