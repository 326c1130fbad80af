"""Instructor, which repairs structured answers by tools."""

from __future__ import annotations

import instructor
import openai
from checks import BASE, KEY, MODEL, same
from pydantic import BaseModel


class Trip(BaseModel):
    """A structured answer."""

    city: str
    days: int


plain = openai.OpenAI(base_url=f"{BASE}/v1", api_key=KEY, max_retries=0)
hello = [{"role": "user", "content": "Hello there"}]
for mode in (instructor.Mode.TOOLS, instructor.Mode.JSON_SCHEMA):
    client = instructor.from_openai(plain, mode=mode)
    asked = {"model": MODEL, "messages": hello, "response_model": Trip, "max_retries": 0}
    found = client.chat.completions.create(**asked)  # of a class that is derived from ours
    same(found.model_dump(), {"city": "Paris", "days": 7})
    last = [*client.chat.completions.create_partial(**asked)][-1]
    same((last.city, last.days), ("Paris", 7))
