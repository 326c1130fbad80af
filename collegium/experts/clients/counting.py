"""Estimate the number of tokens of a text or prompt without a tokenizer.

Of English prose a token has four to five characters; digits and most punctuation are tokens of
their own, and other scripts take up to three tokens a character. So bytes are weighed by kind, a
little above what the tokenizer of SmolLM2 counts. Its count is this multiple of the estimate, and
of a quarter of the characters (median, and the largest, of up to 400 recorded prompts each):

                                  by kind of byte    characters / 4
    instructions (AlpacaEval)     0.90   1.43        0.87   2.25
    multiple choice (MMLU-Pro)    1.04   1.58        1.28   3.45
    mathematics (GSM8K)           0.96   1.24        1.01   1.37
    Chinese (CMMLU)               0.91   1.15        6.31   8.52
    Python                        0.92   1.12        1.12   1.60
    JSON                          0.80   0.84        1.17   1.26
    tables of numbers             1.08   1.11        3.99   4.00

Text with long words that are not English is the exception: German takes up to 1.5 times as many.
"""

from __future__ import annotations

import json
import string
from collections.abc import Callable, Collection, Mapping
from typing import Any

LOWER, UPPER, DIGIT, MARK, SPACE, OTHER = 0.2, 0.5, 1.1, 0.75, 0.3, 0.75
"""Tokens a byte."""
PER_MESSAGE = 5
"""Tokens that a chat template adds per message: about as many as in ChatML."""
IMAGE_TOKENS = 1100
"""Assumed tokens of a large image, audio or file if nothing better is known (`pictures.py`)."""
COUNTED = ("messages", "tools", "functions", "response_format")
"""Fields of a request that are counted."""
UNREAD = ("metadata", "logit_bias", "stop", "stream_options", "tool_choice", "modalities")
OF_PART = ("type", "text")
OF_MESSAGE = ("role", "content", "tool_calls", "tool_call_id")
OF_FIXED_SIZE = ("text", "image", "image_url", "audio", "video", "video_url")
"""Ends of the types of parts whose tokens are counted, or do not go by their bytes."""
SHORT = 64
"""Characters of a text that is a name, a choice or an id."""
Count = Callable[[str], int]
_LOWER, _UPPER = string.ascii_lowercase.encode(), string.ascii_uppercase.encode()
_DIGITS, _SPACES = string.digits.encode(), string.whitespace.encode()
_OTHERS = bytes(range(128, 256))


def estimated_tokens(text: str) -> int:
    """Estimate a text's tokens, for forecasts and for usage that no upstream reported."""
    left = text.encode(errors="surrogatepass")
    total = 0.0
    for kind, weight in _KINDS:
        size = len(left)
        left = left.translate(None, kind)  # deleting is ten times as fast as counting
        total += weight * (size - len(left))
    return int(total + MARK * len(left)) + 1


_KINDS = (
    (_LOWER, LOWER),
    (_SPACES, SPACE),
    (_UPPER, UPPER),
    (_OTHERS, OTHER),
    (_DIGITS, DIGIT),
)


def prompt_tokens(
    body: Mapping[str, Any], count: Count = estimated_tokens, *, model: str = ""
) -> int:
    """A guess at all that an expert reads of a request: messages, images, tools, a schema.

    `count` gives the tokens of a text; images have those that the vendor of a `model` counts.
    """
    total = sum(PER_MESSAGE + _of_message(message, count, model) for message in body["messages"])
    for name in COUNTED[1:]:
        if body.get(name):
            total += count(_as_text(body[name]))
    return total


def further_tokens(body: Mapping[str, Any]) -> int:
    """About the tokens of what `prompt_tokens` takes no notice of, though an expert may read it.

    Such as `documents`, a `chat_template`, a file, or what a message has beside its content.
    """
    total = unknown_tokens(body, COUNTED)
    for message in body.get("messages", ()):
        total += unknown_tokens(message, OF_MESSAGE)
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            if isinstance(part, Mapping) and not str(part.get("type")).endswith(OF_FIXED_SIZE):
                total += unknown_tokens(part, OF_PART)
    return total


def unknown_tokens(body: Mapping[str, Any], known: Collection[str]) -> int:
    """Estimate the tokens of all fields except those counted separately or never read."""
    return sum(_of_unknown(v) for name, v in body.items() if name not in (*known, *UNREAD))


def _of_unknown(value: Any) -> int:
    """Few requests have such a thing, and numbers and switches aren't read."""
    if isinstance(value, str):
        return estimated_tokens(value) if len(value) > SHORT else 0
    return estimated_tokens(_as_text(value)) if value and isinstance(value, (list, Mapping)) else 0


def _of_message(message: Mapping[str, Any], count: Count, model: str) -> int:
    content, calls = message.get("content"), message.get("tool_calls")
    total = 0 if not calls else count(_as_text(calls))
    if isinstance(content, str):
        return total + count(content)
    for part in content if isinstance(content, list) else []:
        text = part.get("text") if isinstance(part, Mapping) else None
        total += count(text) if isinstance(text, str) else _of_other(part, model)
    return total


def _of_other(part: Any, model: str) -> int:
    """Estimate the tokens of a part other than text."""
    if not model or not isinstance(part, Mapping):
        return IMAGE_TOKENS
    from collegium.experts.clients.pictures import picture_tokens  # most requests have none

    found = picture_tokens(part, model)
    return IMAGE_TOKENS if found is None else found


def _as_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def choices_of(body: Mapping[str, Any]) -> int:
    """Return the choices that a request is billed for: `n`, or `best_of` if that is more."""
    given = (body.get("n"), body.get("best_of"))
    return max([1, *(number for number in given if isinstance(number, int))])
