"""The encoder of the settings: an extension, or any sentence-transformers model."""

from __future__ import annotations

from pathlib import Path

from collegium.errors import ArtifactRejected
from collegium.extensions import extensions
from collegium.router.vectors import Encoder, MakeEncoder
from collegium.settings import load_settings


def make_encoder(name: str, *, cache: Path | None = None, threads: int | None = None) -> Encoder:
    """Make the encoder that the setting `encoder` names.

    What is made for it lies under `cache`, by default where the settings say; `threads` are those
    that it computes with, None takes all cores. Only the named encoder's module is imported.
    SetupError if nothing has this name, or where it can't be loaded.
    """
    folder = cache or load_settings().cache_dir
    if name in extensions().names("encoder"):
        make: MakeEncoder = extensions().load("encoder", name)
        return make(folder, threads)
    from collegium.router.any_encoder import AnyEncoder

    return AnyEncoder(name, folder, threads)


def require_dimensions(encoder: Encoder, dimensions: int, fitted: int) -> None:
    """Raise ArtifactRejected if a router was fitted on vectors of another size."""
    if dimensions != fitted:
        raise ArtifactRejected(
            f"the router was fitted on vectors of {fitted} dimensions, and those of the encoder "
            f"'{encoder.name}' have {dimensions}: train a router with this encoder"
        )


def as_fitted(encoder: Encoder, name: str) -> Encoder:
    """The encoder as a router of this encoder's name was fitted: with surface features or without.

    Another name is left for the router to refuse.
    """
    from collegium.router.features import SurfaceEncoder

    surface = SurfaceEncoder(encoder)
    return surface if name == surface.name else encoder
