"""What upstreams do: a table of answers, refusals and oddities, each whole and streamed.

A behaviour is what a scripted server sends. Tests run all of them through the client and through
the whole service, so that a new oddity needs one line here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.experts.scripted_server import Raw, Request, response

HELLO = "Hello"
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
DONE = "data: [DONE]\n\n"
DEEP = "[" * 3000 + "]" * 3000


@dataclass(frozen=True)
class Behaviour:
    """What an upstream sends, and what the caller is to get of it."""

    whole: Raw
    streamed: Raw
    code: str = ""
    """The error that it is; empty where it is an answer."""
    said: str = HELLO
    begins: bool = False
    """Whether something was said in the stream before it failed."""
    counts: bool = True
    """Whether an error speaks against the expert."""

    def respond(self, request: Request) -> Raw:
        """The response to a request."""
        return self.streamed if request.json().get("stream") else self.whole


def chunk(delta: Any, finish_reason: str | None = None, **fields: Any) -> dict[str, Any]:
    """One chunk."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "odd"}
    return {**head, "choices": [choice], **fields}


def sse(*data: Any, end: str = DONE) -> str:
    """Chunks as server-sent events."""
    texts = [each if isinstance(each, str) else json.dumps(each) for each in data]
    return "".join(f"data: {text}\n\n" for text in texts) + end


ROLE, END = chunk({"role": "assistant", "content": ""}), chunk({}, "stop")
HEL, LO = chunk({"content": "Hel"}), chunk({"content": "lo"})
COUNTED = {"id": "c1", "object": "chat.completion.chunk", "choices": [], "usage": USAGE}
MESSAGE = {"role": "assistant", "content": HELLO}


def completion(message: Any = MESSAGE, **fields: Any) -> dict[str, Any]:
    """A whole answer."""
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    head = {"id": "c1", "object": "chat.completion", "created": 1, "model": "odd"}
    return {**head, "choices": [choice], "usage": USAGE, **fields}


def stream(text: str, **options: Any) -> Raw:
    """A streamed response."""
    return response(200, text=text, **options)


USUAL = stream(sse(ROLE, HEL, LO, END, COUNTED))
WHOLE = response(body=completion())


def answers(streamed: Raw | str, whole: Raw = WHOLE, said: str = HELLO) -> Behaviour:
    """A good answer, however it is sent."""
    return Behaviour(whole, stream(streamed) if isinstance(streamed, str) else streamed, said=said)


def broken(streamed: str, code: str = "expert_error", **fields: Any) -> Behaviour:
    """A stream that is no answer; the same bytes are none as a whole either."""
    raw = stream(streamed)
    return Behaviour(raw, raw, code, **fields)


def refusing(status: int, body: Any, code: str, *, counts: bool, **headers: str) -> Behaviour:
    """An error response."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    raw = response(
        status, headers=named, **({"text": body} if isinstance(body, str) else {"body": body})
    )
    return Behaviour(raw, raw, code, counts=counts)


def error(message: str, **fields: Any) -> dict[str, Any]:
    """An error in OpenAI's shape."""
    return {"error": {"message": message, "type": "invalid_request_error", **fields}}


def _ends(text: str, end: str) -> str:
    return text.replace("\n", end)


TOOL = {"id": "t1", "type": "function", "function": {"name": "find", "arguments": "{}"}}

BEHAVIOURS: dict[str, Behaviour] = {
    "usual": answers(USUAL),
    "no [DONE]": answers(sse(ROLE, HEL, LO, END, COUNTED, end="")),
    "no finish_reason": answers(sse(ROLE, HEL, LO)),
    "CRLF": answers(_ends(sse(ROLE, HEL, LO, END, COUNTED), "\r\n")),
    "CR": answers(_ends(sse(ROLE, HEL, LO, END, COUNTED), "\r")),
    "byte order mark": answers("\ufeff" + sse(ROLE, HEL, LO, END)),
    "comments and pings": answers(
        ": ping\n\nevent: ping\ndata: {}\n\n" + sse({"type": "ping"}, ROLE, HEL, LO, END)
    ),
    "event and id lines": answers(
        "event: message\nid: 7\nretry: 9\n" + sse(ROLE, HEL, LO, END)
    ),
    "data in several lines": answers(
        "".join(f"data: {line}\n" for line in json.dumps(ROLE | HEL, indent=1).splitlines())
        + "\n" + sse(LO, END)
    ),
    "one line end between events": answers(sse(ROLE, HEL, LO, END).replace("\n\n", "\n")),
    "no space after the colon": answers(sse(ROLE, HEL, LO, END).replace("data: ", "data:")),
    "usage before the end": answers(sse(ROLE, HEL, LO, COUNTED, END)),
    "usage with every chunk": answers(
        sse(ROLE, HEL | {"usage": {**USAGE, "completion_tokens": 1}}, LO | {"usage": USAGE}, END)
    ),
    "usage of the wrong type": answers(
        sse(ROLE, HEL, LO, END, COUNTED | {"usage": "many"}),
        response(body=completion(usage=["many"])),
    ),
    "absurd usage": answers(
        sse(ROLE, HEL, LO, END, COUNTED | {"usage": {"prompt_tokens": 10**30}}),
        response(body=completion(usage={"prompt_tokens": -1, "completion_tokens": 1e308})),
    ),
    "Azure's first chunk": answers(
        sse({"id": "", "choices": [], "prompt_filter_results": []}, ROLE, HEL, LO, END)
    ),
    "a whole answer for a stream": answers(WHOLE),
    "a whole answer that says it is a stream": answers(json.dumps(completion(), indent=1)),
    "a whole answer in one event": answers(sse(completion())),
    "a stream for a whole answer": answers(USUAL, USUAL),
    "half a surrogate pair": answers(
        sse(ROLE, '{"choices": [{"index": 0, "delta": {"content": "Hello\\ud83d"}}]}', END),
        response(text='{"choices": [{"message": {"content": "Hello\\ud83d"}}]}'),
        said="Hello\ud83d",
    ),
    "content in parts": answers(
        sse(ROLE, chunk({"content": [{"type": "text", "text": HELLO}]}), END),
        response(body=completion({"content": [{"type": "text", "text": HELLO}]})),
    ),
    "bare [DONE]": broken(sse()),
    "nothing at all": broken(""),
    "comments only": broken(": nothing\n\n"),
    "usage only": broken(sse(COUNTED)),
    "cut before a word": Behaviour(
        response(text='{"choices": [', missing=9),
        stream(sse(ROLE, end=""), missing=9),
        "expert_unavailable",
    ),
    "closed before a word": Behaviour(
        response(text=""), stream(sse(ROLE, end="")), "expert_unavailable"
    ),
    "cut in the middle": Behaviour(
        response(text='{"choices": [', missing=9),
        stream(sse(ROLE, HEL, end=""), missing=9),
        "expert_unavailable",
        begins=True,
    ),
    "an error in the stream": broken(sse(error("out of memory"))),
    "an error after a role": broken(sse(ROLE, error("out of memory", code=500))),
    "an error in the middle": Behaviour(
        response(body=error("out of memory")),
        stream(sse(ROLE, HEL, error("out of memory"))),
        "expert_error",
        begins=True,
    ),
    "event: error": broken('event: error\ndata: {"detail": "out of memory"}\n\n'),
    "error: line": broken('error: {"message": "out of memory"}\n\n'),
    "overloaded in the stream": broken(
        'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error", '
        '"message": "Overloaded"}}\n\n',
        "expert_unavailable",
    ),
    "vLLM's old error": broken(sse({"object": "error", "message": "oops", "code": 500})),
    "a web page": broken("<!DOCTYPE html><html><body>Welcome</body></html>"),
    "a web page that says so": Behaviour(
        response(text="<html></html>", kind="text/html"),
        response(text="<html></html>", kind="text/html"),
        "expert_error",
    ),
    "no JSON": broken("data: {hello}\n\n"),
    "no object": broken(sse("[1, 2]")),
    "delta is a text": broken(sse('{"choices": [{"index": 0, "delta": "Hello"}]}')),
    "choices is a text": broken(sse('{"choices": "Hello"}')),
    "a null choice": broken(sse('{"choices": [null]}')),
    "nested 3,000 deep": broken(f'data: {{"choices": [], "x": {DEEP}}}\n\n'),
    "nested deep in the middle": Behaviour(
        response(text=f'{{"choices": {DEEP}}}'),
        stream(sse(ROLE, HEL, f'{{"choices": [{{"delta": {{}}}}], "x": {DEEP}}}')),
        "expert_error",
        begins=True,
    ),
    "bytes that are no text": Behaviour(
        response(raw=b"\xff\xfe\x00"), response(raw=b"data: \xff\xfe\x00\n\n"), "expert_error"
    ),
    "400": refusing(400, error("odd request"), "expert_rejected", counts=False),
    "images": refusing(400, error("Images are not supported"), "capability_missing", counts=False),
    "too long": refusing(
        400, error("prompt is too long"), "context_length_exceeded", counts=False
    ),
    "policy": refusing(
        400, error("filtered", code="content_filter"), "content_filter", counts=False
    ),
    "401": refusing(401, error("Incorrect API key: sk-1"), "expert_misconfigured", counts=True),
    "402": refusing(402, error("Insufficient Balance"), "expert_misconfigured", counts=True),
    "404": refusing(404, "404 page not found", "model_gone", counts=True),
    "429": refusing(429, error("slow down"), "rate_limit_exceeded", counts=False, retry_after="17"),
    "500": refusing(500, "<h1>Internal Server Error</h1>", "expert_error", counts=True),
    "503": refusing(503, error("Loading model"), "expert_unavailable", counts=True),
    "529": refusing(529, error("Overloaded"), "expert_unavailable", counts=True),
}  # fmt: skip

Respond = Callable[[Request], Raw]
