"""Download a model from the Hugging Face Hub: safetensors and its configuration, no code."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

from collegium.errors import ProbeFailed
from collegium.extras import require

MODEL = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
FILES = (
    "*.safetensors", "*.json", "*.jinja",
    "tokenizer.model", "*.tiktoken", "merges.txt", "vocab.txt",
)  # fmt: skip
"""What is fetched: neither Python files nor weights in pickles."""


def download(
    model: str, cache: Path, progress: Callable[[str], None], *, endpoint: str | None = None
) -> Path:
    """The model's folder under `cache`; files that are there are not fetched again.

    ProbeFailed if there is no such model, it is gated, or the hub can't be reached. The hub's
    token is read as its own tools do (HF_TOKEN, or the file of `hf auth login`).
    """
    if not MODEL.fullmatch(model):
        raise ProbeFailed(f"'{model}' names no model on the hub: give it as ORG/NAME")
    require("embedded", "--hf", modules=("transformers",))
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    folder = cache / "models" / model.replace("/", "--")
    progress(f"Downloading {model} to {folder}")
    try:
        snapshot_download(
            model,
            local_dir=folder,
            allow_patterns=[*FILES],
            endpoint=endpoint or os.environ.get("HF_ENDPOINT"),
        )
    except GatedRepoError as exc:
        words = "accept its conditions on the hub, and set HF_TOKEN"
        raise ProbeFailed(f"the model '{model}' is gated: {words}") from exc
    except RepositoryNotFoundError as exc:
        words = "the hub has no such model, or it is private (HF_TOKEN)"
        raise ProbeFailed(f"'{model}': {words}") from exc
    except (OSError, ValueError) as exc:  # the hub's other errors, and those of the network
        words = "without a network, copy its folder to this machine and give --model-path"
        raise ProbeFailed(f"'{model}' can't be downloaded: {exc} ({words})") from exc
    _require_weights(folder, model)
    return folder


def _require_weights(folder: Path, model: str) -> None:
    """Raise ProbeFailed unless all weights are there: offline, the hub's client returns a folder
    whose download was interrupted as if it were whole.
    """
    there = {file.name for file in folder.glob("*.safetensors")}
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        try:
            shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise ProbeFailed(f"'{index}' can't be read ({exc!r}); delete it") from exc
        if missing := sorted(shards - there):
            words = f"{len(missing)} of {len(shards)} files are missing, such as {missing[0]}"
            raise ProbeFailed(
                f"'{model}' is incomplete in {folder}: {words}; repeat when the hub can be reached"
            )
    if not there:
        raise ProbeFailed(
            f"'{model}' has no weights in safetensors in {folder}: pickles and GGUF are not loaded"
        )
