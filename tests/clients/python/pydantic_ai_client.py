"""PydanticAI over chat completions and Responses, with a tool loop of its own.

Its class for Anthropic does not work with the version of Anthropic's SDK that the others need.
"""

from __future__ import annotations

import asyncio

from checks import BASE, KEY, MODEL, said
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

openai = OpenAIProvider(base_url=f"{BASE}/v1", api_key=KEY)
models = (
    OpenAIChatModel(MODEL, provider=openai),
    OpenAIResponsesModel(MODEL, provider=openai),
)


async def streamed(agent: Agent) -> str:
    """An answer as it comes."""
    async with agent.run_stream("Hello there") as result:
        return str(await result.get_output())


for model in models:
    agent = Agent(model)

    @agent.tool_plain
    def weather(city: str) -> str:
        """The weather of a city."""
        return f"sunny in {city}"

    said(agent.run_sync("Hello there").output, "The result is sunny in Paris.")
    said(asyncio.run(streamed(agent)), "The result is sunny in Paris.")
