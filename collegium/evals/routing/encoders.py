"""Encoders by name, for `--encoder`."""

from collections.abc import Callable, Sequence

from collegium.errors import SetupError
from collegium.router.encoder import as_fitted, make_encoder
from collegium.router.features import SurfaceEncoder
from collegium.router.vectors import Encoder, Floats
from collegium.settings import load_settings

SURFACE = "+surface"


def encoder(name: str) -> Encoder:
    """Make the encoder of this name, with surface features where it ends in `+surface`."""
    if name in ENCODERS:
        return ENCODERS[name]()
    inner = make_encoder(name.removesuffix(SURFACE))
    return SurfaceEncoder(inner) if name.endswith(SURFACE) else inner


def fitted_on(name: str) -> Encoder:
    """Make the encoder that a saved router's card names, which tells versions apart."""
    for make in ENCODERS.values():
        if (found := make()).name == name:
            return found
    own = load_settings().encoder
    if own not in ENCODERS and (found := as_fitted(make_encoder(own), name)).name == name:
        return found
    raise SetupError(
        f"the router was fitted on vectors of '{name}', which neither the setting `encoder` nor "
        "an encoder that comes with the package makes"
    )


class LazyEncoder:
    """An encoder that is loaded when it is first asked: where all is on disk, never."""

    def __init__(self, name: str, load: Callable[[], Encoder]) -> None:
        self.name = name
        self._load = load
        self._loaded: Encoder | None = None

    def encode(self, texts: Sequence[str]) -> Floats:
        """Return one row a text, shape (n, dimensions)."""
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded.encode(texts)


def _minilm() -> Encoder:
    return LazyEncoder("minilm", lambda: make_encoder("minilm"))


def _static() -> Encoder:
    return make_encoder("static")


ENCODERS: dict[str, Callable[[], Encoder]] = {
    "minilm": _minilm,
    "minilm+surface": lambda: SurfaceEncoder(_minilm()),
    "static": _static,
    "static+surface": lambda: SurfaceEncoder(_static()),
}
DEFAULT = "minilm"
