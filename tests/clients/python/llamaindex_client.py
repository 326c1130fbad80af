"""LlamaIndex with its defaults: an unknown model's name makes it use /v1/completions."""

from __future__ import annotations

from checks import BASE, KEY, MODEL, SCRIPTED, said, same
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike


def weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


options = {"api_base": f"{BASE}/v1", "api_key": KEY, "model": MODEL, "max_tokens": 16}
plain = OpenAILike(**options)
said(plain.complete("Hello there").text, "You said: Hello there")
said([*plain.stream_complete("Hello there")][-1].text, "You said: Hello there")
chatty = OpenAILike(**options, is_chat_model=True, is_function_calling_model=True)
hello = [ChatMessage(role="user", content="Hello there")]
said(chatty.chat(hello).message.content, "You said: Hello there")
said([*chatty.stream_chat(hello)][-1].message.content, "You said: Hello there")
if SCRIPTED:
    tool = FunctionTool.from_defaults(weather)
    answer = chatty.chat_with_tools([tool], user_msg="Hello there")
    call = chatty.get_tool_calls_from_response(answer)[0]
    same((call.tool_name, call.tool_kwargs), ("weather", {"city": "Paris"}))
