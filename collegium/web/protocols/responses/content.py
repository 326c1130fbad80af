"""Convert content parts to those of a chat completion."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from collegium.errors import BadRequest
from collegium.experts.clients.events import Json

Part = Mapping[str, Any]


def chat_part(part: Any, where: str) -> Json:
    """Convert one part; raise BadRequest if it is invalid."""
    kind = part.get("type") if isinstance(part, Mapping) else None
    convert = PARTS.get(kind) if isinstance(kind, str) else None
    if convert is None:
        raise BadRequest(
            f"{where} must be a part whose `type` is one of {', '.join(PARTS)}, not {kind!r}", where
        )
    return convert(part, where)


def text_field(part: Part, name: str, where: str) -> str:
    """Return a field that has to be a string; raise BadRequest if it is none."""
    value = part.get(name)
    if not isinstance(value, str):
        raise BadRequest(f"{where}.{name} must be a string", f"{where}.{name}")
    return value


def is_text(part: Json) -> bool:
    """Whether a part of a chat is a text."""
    return bool(part["type"] == "text")


def _text(part: Part, where: str) -> Json:
    return {"type": "text", "text": text_field(part, "text", where)}


def _refusal(part: Part, where: str) -> Json:
    return {"type": "text", "text": text_field(part, "refusal", where)}


def _image(part: Part, where: str) -> Json:
    _refuse_file_id(part, where, "image_url")
    image: Json = {"url": text_field(part, "image_url", where)}
    if part.get("detail") not in (None, "auto"):
        image["detail"] = part["detail"]
    return {"type": "image_url", "image_url": image}


def _file(part: Part, where: str) -> Json:
    _refuse_file_id(part, where, "file_data")
    if part.get("file_url") is not None:
        raise BadRequest(
            f"{where}.file_url: file URLs are not supported; send `file_data` with "
            "the file in base64, and its `filename`",
            f"{where}.file_url",
        )
    file: Json = {"file_data": text_field(part, "file_data", where)}
    if part.get("filename") is not None:
        file["filename"] = text_field(part, "filename", where)
    return {"type": "file", "file": file}


def _audio(part: Part, where: str) -> Json:
    audio = part.get("input_audio")
    if not isinstance(audio, Mapping):
        raise BadRequest(
            f"{where}.input_audio must have `data` and `format`", f"{where}.input_audio"
        )
    told = {name: text_field(audio, name, f"{where}.input_audio") for name in ("data", "format")}
    return {"type": "input_audio", "input_audio": told}


PARTS: Mapping[str, Callable[[Part, str], Json]] = {
    "input_text": _text,
    "output_text": _text,
    "text": _text,
    "refusal": _refusal,
    "input_image": _image,
    "input_file": _file,
    "input_audio": _audio,
}


def _refuse_file_id(part: Part, where: str, instead: str) -> None:
    if part.get("file_id") is not None:
        raise BadRequest(
            f"{where}.file_id: files stored at a provider are not supported; send `{instead}`",
            f"{where}.file_id",
        )
