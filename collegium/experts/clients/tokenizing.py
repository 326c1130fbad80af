"""Count tokens as OpenAI's models do, for answers whose upstream doesn't report usage.

The tokenizers' files come with LiteLLM, so nothing is fetched. Models of other vendors count
somewhat otherwise, but nearer to this than to an estimate by the kinds of bytes.
"""

from __future__ import annotations

import hashlib
import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from collegium.experts.clients.counting import estimated_tokens

if TYPE_CHECKING:
    from tiktoken import Encoding

FOLDER = Path("litellm_core_utils", "tokenizers")
ADDRESS = "https://openaipublic.blob.core.windows.net/encodings/{}.tiktoken"
"""Tokenizer files are named by the hash of this address."""
NEWER, OLDER = "o200k_base", "cl100k_base"
OF_OLDER = ("gpt-4-", "gpt-3.5", "gpt-35")
LONGEST = 100_000
"""Characters: counting longer texts would block the event loop for more than about 10 ms."""


class Tokenizers:
    """Counts tokens. A tokenizer takes half a second to load in a thread; until then, tokens are
    estimated.
    """

    def __init__(self) -> None:
        self._loaded: dict[str, Encoding | None] = {}

    def count(self, text: str, model: str = "") -> int:
        """The tokens of a text, about as the model counts them."""
        counted = self.counted(text, model)
        return estimated_tokens(text) if counted is None else counted

    def counted(self, text: str, model: str = "") -> int | None:
        """The tokens of a text; None if it is too long, or until the tokenizer is loaded."""
        if not text:
            return 0
        encoding = None if len(text) > LONGEST else self._encoding(encoding_of(model))
        return None if encoding is None else len(encoding.encode_ordinary(text))

    def load(self, name: str = NEWER) -> None:
        """Load a tokenizer; this takes half a second the first time."""
        self._loaded[name] = _from_file(name)

    def _encoding(self, name: str) -> Encoding | None:
        if name not in self._loaded:
            self._loaded[name] = None
            Thread(target=self.load, args=(name,), daemon=True).start()
            return None
        return self._loaded[name]


def encoding_of(model: str) -> str:
    """Return the name of a model's tokenizer, or of the closest one."""
    name = model.rpartition("/")[2]
    return OLDER if name == "gpt-4" or name.startswith(OF_OLDER) else NEWER


@cache
def _from_file(name: str) -> Encoding | None:
    spec = find_spec("litellm")
    folders = (spec.submodule_search_locations or ()) if spec else ()
    file = hashlib.sha1(ADDRESS.format(name).encode(), usedforsecurity=False).hexdigest()
    folder = next((f for f in folders if (Path(f) / FOLDER / file).is_file()), None)
    if folder is None or find_spec("tiktoken") is None:
        return None
    os.environ.setdefault("TIKTOKEN_CACHE_DIR", str(Path(folder) / FOLDER))  # as LiteLLM does
    import tiktoken

    return tiktoken.get_encoding(name)
