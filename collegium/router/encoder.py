"""The encoder that the settings name."""

from __future__ import annotations

from pathlib import Path

from collegium.errors import SetupError
from collegium.experts.embedded import encoder_path
from collegium.router.vectors import Encoder
from collegium.settings import load_settings

ENCODERS = ("minilm", "static")


def make_encoder(name: str, *, cache: Path | None = None, threads: int | None = None) -> Encoder:
    """Make the encoder that the setting `encoder` names.

    What is made for it lies under `cache`, by default where the settings say; `threads` are those
    that it computes with, None takes all cores. Only the named encoder's module is imported.
    """
    if name == "minilm":
        from collegium.router.sentence_encoder import SentenceEncoder

        return SentenceEncoder(encoder_path(), cache or load_settings().cache_dir, threads=threads)
    if name == "static":
        from collegium.router.static_encoder import static_encoder

        return static_encoder(encoder_path())
    raise SetupError(f"there is no encoder '{name}'; there are: {', '.join(ENCODERS)}")


def as_fitted(encoder: Encoder, name: str) -> Encoder:
    """The encoder as a router of this encoder's name was fitted: with surface features or without.

    Another name is left for the router to refuse.
    """
    from collegium.router.features import SurfaceEncoder

    surface = SurfaceEncoder(encoder)
    return surface if name == surface.name else encoder
