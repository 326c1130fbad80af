"""Any sentence-transformers model as an encoder: from a folder, or from the Hugging Face hub.

It runs on PyTorch, which takes longer than the encoders that come with the package. Weights are
read from safetensors alone, and code that lies beside them is never run.
"""

from __future__ import annotations

import hashlib
import logging
import re
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from collegium.errors import SetupError
from collegium.extensions import extensions
from collegium.extras import require
from collegium.router.vectors import Floats, readable, unit_rows

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
IDENTITY = ("*.safetensors", "*/*.safetensors", "tokenizer.json", "modules.json", "*/config.json")
"""The files that say which vectors a model makes."""
NEVER = (
    "*.bin",
    "*.pt",
    "*.pth",
    "*.ckpt",
    "*.pkl",
    "*.py",
    "*.h5",
    "*.msgpack",
    "*.onnx",
    "*.xml",
)
"""Files that are not downloaded: pickles, code and other frameworks' weights."""
MOST_CHARACTERS = 8_000
log = logging.getLogger(__name__)


class AnyEncoder:
    """Turns texts into vectors by a sentence-transformers model, on the CPU."""

    def __init__(self, model: str, cache: Path, threads: int | None = None) -> None:
        """Load the model in the folder `model`, or the one that the hub has under this name.

        SetupError if it can't be found, fetched or loaded. `threads` of None takes all cores.
        """
        require("encoders", "a sentence-transformers model", modules=["sentence_transformers"])
        import torch
        from sentence_transformers import SentenceTransformer

        folder = model_folder(model, cache)
        if threads is not None:
            torch.set_num_threads(threads)
        try:
            self._model = SentenceTransformer(
                str(folder),
                device="cpu",
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
            )
        except Exception as exc:  # transformers raises errors of many kinds
            raise SetupError(f"the encoder '{model}' can't be loaded: {exc}") from exc
        self.name = f"{Path(model).name}@{_digest(folder)}"
        """Identifies the weights: a router that was fitted on others is refused."""
        self.reads_tokens = self._model.max_seq_length
        """The number of tokens after which texts are cut off; None if unknown."""
        self._turn = threading.Lock()  # the tokenizer is not safe to share

    def encode(self, texts: Sequence[str]) -> Floats:
        """Return one row of unit length a text, shape (n, d); long texts are cut."""
        cut = [readable(text[:MOST_CHARACTERS]) for text in texts]
        with self._turn:
            vectors = self._model.encode(cut, convert_to_numpy=True, show_progress_bar=False)
        return unit_rows(np.asarray(vectors, dtype=np.float32))


def model_folder(model: str, cache: Path) -> Path:
    """Return the model's folder; a model on the hub is downloaded once, to `cache`."""
    folder = Path(model)
    if not folder.is_dir():
        if HUB_NAME.fullmatch(model) is None:
            raise SetupError(
                f"there is no encoder '{model}'. Available: {extensions().offered('encoder')}; or "
                "name a sentence-transformers model by its folder, or as OWNER/NAME on the hub"
            )
        folder = _fetched(model, cache / "encoders")
    if not any(folder.rglob("*.safetensors")):
        raise SetupError(f"'{model}' has no safetensors weights; pickles are never loaded")
    return folder


def _fetched(model: str, cache: Path) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    def folder(*, offline: bool) -> Path:
        found = snapshot_download(
            model, cache_dir=cache, local_files_only=offline, ignore_patterns=list(NEVER)
        )
        return Path(found)

    try:
        return folder(offline=True)
    except LocalEntryNotFoundError:
        log.warning(
            "Downloading the encoder %s from the Hugging Face hub to %s, once", model, cache
        )
    try:
        return folder(offline=False)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as exc:
        reason = str(exc).strip().partition("\n")[0]
        raise SetupError(
            f"the encoder '{model}' is not in {cache} and can't be downloaded ({reason}); "
            "name a folder that has it"
        ) from exc


def _digest(folder: Path) -> str:
    """48 bits of the hash of what makes the model, in hexadecimal digits."""
    total = hashlib.sha256()
    for file in _identity(folder):
        total.update(file.relative_to(folder).as_posix().encode())
        with file.open("rb") as content:
            total.update(hashlib.file_digest(content, "sha256").digest())
    return total.hexdigest()[:12]


def _identity(folder: Path) -> Iterator[Path]:
    yield from sorted({file for pattern in IDENTITY for file in folder.glob(pattern)})
