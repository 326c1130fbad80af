"""Encoders by name, for `--encoder`."""

from collections.abc import Callable

from collegium.errors import SetupError
from collegium.router.encoder import Encoder


def encoder(name: str) -> Encoder:
    """Make the encoder of this name, or say which there are."""
    if name not in ENCODERS:
        raise SetupError(f"no encoder is called '{name}'; there are {', '.join(ENCODERS)}")
    return ENCODERS[name]()


def _minilm() -> Encoder:
    from collegium.experts.embedded import encoder_path
    from collegium.router.encoder import SentenceEncoder

    return SentenceEncoder(encoder_path(), name="minilm")


ENCODERS: dict[str, Callable[[], Encoder]] = {"minilm": _minilm}
DEFAULT = "minilm"
