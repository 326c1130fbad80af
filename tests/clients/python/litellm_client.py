"""LiteLLM as a client, by its providers for OpenAI and Anthropic."""

from __future__ import annotations

import litellm
from checks import BASE, KEY, MODEL, SCRIPTED, WEATHER, said, same

HELLO = [{"role": "user", "content": "Hello there"}]
FUNCTION = {"name": "weather", "description": "The weather", "parameters": WEATHER}
for name, base in ((f"openai/{MODEL}", f"{BASE}/v1"), (f"anthropic/{MODEL}", BASE)):
    asked = {"model": name, "api_base": base, "api_key": KEY, "messages": HELLO, "max_tokens": 16}
    answer = litellm.completion(**asked)
    said(answer.choices[0].message.content, "You said: Hello there")
    chunks = litellm.completion(**asked, stream=True)
    text = "".join(c.choices[0].delta.content or "" for c in chunks)
    said(text, "You said: Hello there")
    if SCRIPTED:
        called = litellm.completion(**asked, tools=[{"type": "function", "function": FUNCTION}])
        same(called.choices[0].message.tool_calls[0].function.arguments, '{"city": "Paris"}')
vectors = litellm.embedding("openai/auto", ["one", "two"], api_base=f"{BASE}/v1", api_key=KEY)
same(len(vectors.data), 2)
