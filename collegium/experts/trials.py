"""Small questions that show an expert's capabilities, and how to read its answers.

Each leaves unknown what its answer can't tell: a model that takes tools need not call one.
"""

from __future__ import annotations

import json
import struct
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from collegium.experts.clients.events import Json
from collegium.experts.clients.reply import Answer

Found = Mapping[str, bool | None]
WORD = "walnut"
"""The word that the sample files contain."""


@dataclass(frozen=True)
class Trial:
    """One question. Refusing it means that the expert lacks the first of its abilities."""

    abilities: tuple[str, ...]
    messages: list[Json]
    read: Callable[[Answer], Found]
    fields: Json = field(default_factory=dict)


def trials() -> tuple[Trial, ...]:
    """Return all questions, each of which costs about a hundred tokens."""
    return (
        Trial(("images",), [_user("What colour is this? One word.", _image())], _says_red),
        Trial(("audio",), [_user("What do you hear? One word.", _sound())], _heard),
        Trial(("files",), [_user("Which word does the file say?", _file())], _says_word),
        Trial(("tools", "parallel_tools"), [_user(CITIES)], _called, {"tools": [WEATHER]}),
        Trial(("json_schema",), [_user("Name a colour.")], _kept_to_schema, {
            "response_format": {"type": "json_schema", "json_schema": SCHEMA},
        }),
        Trial(("json_object",), [_user('Name a colour as JSON: {"colour": …}')], _gave_json, {
            "response_format": {"type": "json_object"},
        }),
        Trial(("logprobs",), [_user("Say hello.")], _told_logprobs, {"logprobs": True}),
        Trial(("n",), [_user("Say hello.")], _several, {"n": 2}),
        Trial(("developer_role",), [DEVELOPER, _user("Say hello.")], _answered("developer_role")),
        Trial(("reasoning",), [_user("Say hello.")], reasoned, {"reasoning_effort": "low"}),
    )  # fmt: skip


def reasoned(answer: Answer) -> Found:
    """Whether an answer involved reasoning; unknown if nothing shows it."""
    message = answer.choices[0]["message"]
    thought = any(message.get(name) for name in ("reasoning_content", "reasoning"))
    counted = _count(answer, "completion_tokens_details", "reasoning_tokens")
    return {"reasoning": True if thought or counted else None}


ENDPOINTS: Mapping[str, tuple[str, Json, Callable[[Json], bool]]] = {
    "completions": (
        "completions",
        {"prompt": "a", "max_tokens": 1},
        lambda told: "text" in _first(told.get("choices")),
    ),
    "embeddings": (
        "embeddings",
        {"input": "a"},
        lambda told: "embedding" in _first(told.get("data")),
    ),
    "rerank": (
        "rerank",
        {"query": "a", "documents": ["a"]},
        lambda told: "index" in _first(told.get("results")),
    ),
    "messages": (
        "messages",
        {"messages": [{"role": "user", "content": "a"}], "max_tokens": 16},
        lambda told: told.get("type") == "message",
    ),
    "responses": (
        "responses",
        {"input": "a", "max_output_tokens": 16},
        lambda told: told.get("object") == "response",
    ),
}
"""By endpoint: its path, a minimal request, and whether a response is valid."""

CITIES = "What is the weather in Paris, and what is it in Rome? Look up both at once."
WEATHER: Json = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in one city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
SCHEMA: Json = {
    "name": "colour",
    "strict": True,
    "schema": {
        "type": "object",
        "properties": {"colour": {"type": "string"}},
        "required": ["colour"],
        "additionalProperties": False,
    },
}
DEVELOPER: Json = {"role": "developer", "content": "Answer in English."}


def _says_red(answer: Answer) -> Found:
    return {"images": True if "red" in answer.text.lower() else None}


def _heard(answer: Answer) -> Found:
    return {"audio": True if _count(answer, "prompt_tokens_details", "audio_tokens") else None}


def _says_word(answer: Answer) -> Found:
    return {"files": True if WORD in answer.text.lower() else None}


def _called(answer: Answer) -> Found:
    calls = answer.choices[0]["message"].get("tool_calls")
    count = len(calls) if isinstance(calls, list) else 0
    return {"tools": True if count else None, "parallel_tools": True if count > 1 else None}


def _kept_to_schema(answer: Answer) -> Found:
    if not answer.text.strip() or answer.choices[0]["finish_reason"] == "length":
        return {}
    told = _parsed(answer.text)
    return {"json_schema": isinstance(told, dict) and isinstance(told.get("colour"), str)}


def _gave_json(answer: Answer) -> Found:
    return {"json_object": True if isinstance(_parsed(answer.text), dict) else None}


def _told_logprobs(answer: Answer) -> Found:
    return {"logprobs": bool(answer.choices[0].get("logprobs")) if answer.text else None}


def _several(answer: Answer) -> Found:
    return {"n": len(answer.choices) > 1}


def _answered(ability: str) -> Callable[[Answer], Found]:
    return lambda answer: {ability: True}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _count(answer: Answer, details: str, name: str) -> bool:
    told = {} if answer.usage is None else answer.usage.fields.get(details)
    return isinstance(told, Mapping) and bool(told.get(name))


def _first(rows: Any) -> Json:
    return rows[0] if isinstance(rows, list) and rows and isinstance(rows[0], dict) else {}


def _user(text: str, part: Json | None = None) -> Json:
    content = text if part is None else [{"type": "text", "text": text}, part]
    return {"role": "user", "content": content}


def _image() -> Json:
    """A red square as PNG; smaller ones are refused by models that see in patches."""
    side = 64
    rows = (b"\0" + b"\xff\0\0" * side) * side
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )
    return {"type": "image_url", "image_url": {"url": _url("image/png", data)}}


def _sound() -> Json:
    """Half a second of a tone as WAV."""
    samples, rate = 4000, 8000
    tone = b"".join(struct.pack("<h", 8000 * (1 if i % 16 < 8 else -1)) for i in range(samples))
    kind = struct.pack("<IHHIIHH", 16, 1, 1, rate, 2 * rate, 2, 16)
    data = b"WAVEfmt " + kind + b"data" + struct.pack("<I", len(tone)) + tone
    wav = b"RIFF" + struct.pack("<I", len(data)) + data
    return {"type": "input_audio", "input_audio": {"data": _text(wav), "format": "wav"}}


def _file() -> Json:
    """A page of PDF with one word."""
    url = _url("application/pdf", b"".join(_pdf()))
    return {"type": "file", "file": {"filename": "word.pdf", "file_data": url}}


def _pdf() -> Iterator[bytes]:
    shown = f"BT /F1 24 Tf 20 40 Td ({WORD}) Tj ET".encode()
    fonts = b"/Resources<</Font<</F1 5 0 R>>>>"
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 100]/Contents 4 0 R%s>>" % fonts
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        page,
        b"<</Length %d>>stream\n%s\nendstream" % (len(shown), shown),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    )
    at, starts = 9, []
    yield b"%PDF-1.4\n"
    for number, body in enumerate(objects, start=1):
        written = b"%d 0 obj%s\nendobj\n" % (number, body)
        starts.append(at)
        at += len(written)
        yield written
    entries = b"".join(b"%010d 00000 n \n" % start for start in starts)
    yield b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, entries)
    yield b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, at)


def _url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{_text(data)}"


def _text(data: bytes) -> str:
    return b64encode(data).decode()
