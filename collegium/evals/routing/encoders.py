"""Encoders by name, for `--encoder`."""

from collections.abc import Callable, Sequence

from collegium.errors import SetupError
from collegium.router.encoder import make_encoder
from collegium.router.features import SurfaceEncoder
from collegium.router.vectors import Encoder, Floats


def encoder(name: str) -> Encoder:
    """Make the encoder of this name, or say which there are."""
    if name not in ENCODERS:
        raise SetupError(f"no encoder is called '{name}'; there are {', '.join(ENCODERS)}")
    return ENCODERS[name]()


def fitted_on(name: str) -> Encoder:
    """Make the encoder that a saved router's card names, which tells versions apart."""
    for make in ENCODERS.values():
        if (found := make()).name == name:
            return found
    raise SetupError(f"the router was fitted on vectors of '{name}', which nothing here makes")


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
