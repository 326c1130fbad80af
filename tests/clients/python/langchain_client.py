"""LangChain, with its classes for OpenAI and Anthropic."""

from __future__ import annotations

from checks import BASE, KEY, MODEL, SCRIPTED, said, same
from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel


class Trip(BaseModel):
    """A structured answer."""

    city: str
    days: int


def weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


by_openai = ChatOpenAI(base_url=f"{BASE}/v1", api_key=KEY, model=MODEL, max_tokens=16)
by_responses = ChatOpenAI(
    base_url=f"{BASE}/v1", api_key=KEY, model=MODEL, max_tokens=16, use_responses_api=True
)
by_anthropic = ChatAnthropic(base_url=BASE, api_key=KEY, model=MODEL, max_tokens=16)
for model in (by_openai, by_responses, by_anthropic):
    said(model.invoke("Hello there").text, "You said: Hello there")
    said("".join(chunk.text for chunk in model.stream("Hello there")), "You said: Hello there")
    if SCRIPTED:
        call = model.bind_tools([weather]).invoke("Hello there").tool_calls[0]
        same((call["name"], call["args"]), ("weather", {"city": "Paris"}))
        structured = model.with_structured_output(Trip)
        same(structured.invoke("Hello there"), Trip(city="Paris", days=7))
embeddings = OpenAIEmbeddings(
    base_url=f"{BASE}/v1", api_key=KEY, model="auto", check_embedding_ctx_length=False
)
same(len(embeddings.embed_documents(["one", "two"])), 2)
