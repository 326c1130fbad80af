"""Canonical names of models, whichever way providers, servers and quantisers write them."""

from __future__ import annotations

import re

QUANTISED = re.compile(
    r"[-_.:](?:gguf|ggml|awq|gptq|exl2|mlx|bnb|nf4|fp8|f?p?16|bf16|fp4|nvfp4|mxfp4|int[48]|[48]bit"
    r"|w\da\d+|i?q\d(?:_[a-z0-9]+)*)(?=[-_.:]|$)"
)
REGION = re.compile(r"^(?:[a-z]+\.)+(?=[a-z])")
"""As in `us.anthropic.claude-…`."""
REVISION = re.compile(r"-v\d+:\d+$|-20\d\d-\d\d-\d\d(?=-|$)|-(?:preview|exp)-\d\d-\d\d$")
VENDORS = ("meta", "mistralai", "google", "microsoft", "nvidia", "openai", "anthropic")
SAYS_NOTHING = frozenset({
    "base", "beta", "chat", "exp", "experimental", "fast", "free", "hf", "instant", "instruct",
    "it", "latest", "online", "preview", "reasoning", "thinking", "turbo", "versatile",
})  # fmt: skip
"""Words after a model's name that leave it the same model, or nearly."""
SIZE = re.compile(r"(?<![a-z0-9.])e?(?:(\d+)x)?(\d+(?:\.\d+)?)([bm])(?![a-z0-9])")
"""`70b`, `8x7b`, `135m`, `e4b`; not the active parameters of `30b-a3b`."""
MILLION = 1e-3


def canonical(name: str) -> str:
    """`Meta-Llama-3.1-8B-Instruct` and `llama3.1:8b-instruct-q4_K_M` as `llama-3-1-8b-instruct`."""
    text = REGION.sub("", name.lower().rsplit("/", 1)[-1].strip())
    text = QUANTISED.sub("", QUANTISED.sub("", text))
    text = re.sub(r"[^a-z0-9]+", "-", REVISION.sub("", text)).strip("-")
    text = re.sub(r"(?<=[a-z]{2})(?=\d)", "-", text)
    for vendor in VENDORS:
        text = text.removeprefix(f"{vendor}-")
    return text


def is_same_model(name: str, known: str) -> bool:
    """Whether a canonical name equals the known one, except for irrelevant suffixes."""
    if name == known:
        return True
    rest = name.removeprefix(f"{known}-")
    return rest != name and all(map(_says_nothing, re.sub(r"v0-\d+", "latest", rest).split("-")))


def size_b(name: str) -> float | None:
    """Return the size that a name states, billions of parameters; None if it states none."""
    found = SIZE.search(name.lower().rsplit("/", 1)[-1].replace("_", "-"))
    if found is None:
        return None
    times, size, unit = found.groups()
    return int(times or 1) * float(size) * (1.0 if unit == "b" else MILLION)


def _says_nothing(word: str) -> bool:
    """Dates, revisions such as `002`, contexts such as `128k`, and words such as `instruct`."""
    digits = word.isdigit() and (len(word) >= 4 or word.startswith("0"))
    return digits or word in SAYS_NOTHING or re.fullmatch(r"\d+k", word) is not None
