"""Convert a sentence-transformers model to a graph for OpenVINO; run with `python -m`."""

from __future__ import annotations

import logging
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path
from typing import Any

from collegium.errors import SetupError
from collegium.experts.embedded import ensure_made

GRAPH, TOKENIZER = "model.xml", "tokenizer.json"
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
TRACED = (2, 16)
"""Texts and tokens of the example that is traced; the graph takes any number of both."""
log = logging.getLogger(__name__)


def ensure_graph(folder: Path, cache: Path) -> Path:
    """Return the folder under `cache` with the graph and tokenizer of the model in `folder`.

    Made once, in a process of its own: PyTorch would stay in ours. SetupError if it fails.
    """
    import openvino

    name = folder.parent.name  # the package's, where every model's folder is called `model`
    source = f"{name}, OpenVINO {openvino.__version__}"
    task = "Converting the sentence encoder for OpenVINO (once, some seconds)"
    return ensure_made(cache / f"{name}-openvino", source, partial(_made, folder), log.info, task)


def _made(source: Path, target: Path) -> None:
    command = [sys.executable, "-m", __name__, str(source), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = done.stderr.strip().rpartition("\n")[2]
        raise SetupError(f"{source} can't be made ready as a sentence encoder: {last}")


def convert(source: Path, target: Path) -> None:
    """Trace a sentence-transformers model, pooling included, and save its graph and tokenizer.

    Not `openvino.convert_model`: that reports its use to OpenVINO's makers.
    """
    import openvino
    import torch
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    model = SentenceTransformer(str(source), device="cpu", local_files_only=True)

    class Traced(torch.nn.Module):
        """The model's steps one after the other, from arrays to an array."""

        def __init__(self) -> None:
            super().__init__()
            self.steps = torch.nn.ModuleList(model.children())

        def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any) -> Any:
            given = zip(INPUTS, (input_ids, attention_mask, token_type_ids), strict=True)
            features: dict[str, Any] = dict(given)
            for step in self.steps:
                features = step(features)
            return features["sentence_embedding"]

    ids = torch.ones(TRACED, dtype=torch.long)
    mask = ids.clone()
    mask[1, TRACED[1] // 2 :] = 0  # a model that saw no padding would be traced without it
    example = dict(zip(INPUTS, (ids, mask, torch.zeros_like(ids)), strict=True))
    frontend = FrontEndManager().load_by_framework("pytorch")
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch's, of tracing as such
        decoder = TorchScriptPythonDecoder(Traced().eval(), example_input=example)
        graph = frontend.convert(frontend.load(decoder))
    openvino.save_model(graph, target / GRAPH, compress_to_fp16=False)
    tokenizer = model.tokenizer.backend_tokenizer
    tokenizer.no_padding()
    tokenizer.enable_truncation(model.max_seq_length)
    tokenizer.save(str(target / TOKENIZER))


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
