"""Make routers from their files, with one encoder for all that were fitted on it."""

from __future__ import annotations

from functools import partial
from threading import Lock
from typing import TYPE_CHECKING

from collegium.router.artifact import BUNDLED, FittedRouter, load, read
from collegium.router.costs import Speeds
from collegium.router.tokens import Tokens
from collegium.settings import Settings
from collegium.web.serving.learning import Learning

if TYPE_CHECKING:
    from collegium.router.router import Router
    from collegium.router.vectors import Encoder


class RouterMaker:
    """Loads encoders and routers. This takes a second, and so belongs into a thread."""

    def __init__(
        self, settings: Settings, speeds: Speeds, tokens: Tokens, learning: Learning
    ) -> None:
        self._settings = settings
        self._speeds = speeds
        self._tokens = tokens
        self._learning = learning
        self._encoder: Encoder | None = None
        self._loading = Lock()

    def from_folder(self) -> Router:
        """The router of the setting `router_dir`, else the one that ships with the package."""
        fitted = load(self._settings.router_dir or BUNDLED)
        router = self._made(fitted, None)
        mode = self._settings.online_learning
        if mode != "off":
            from collegium.router.online.learner import Learner

            opened = partial(Learner.open, fitted=fitted, mode=mode)
            router.learn_by(self._learning.open(opened))
        return router

    def from_files(self, card: bytes, arrays: bytes, version: str) -> Router:
        """The router of a version; ArtifactRejected where its files are damaged."""
        return self._made(read(card, arrays, f"version {version}"), version)

    def _made(self, fitted: FittedRouter, version: str | None) -> Router:
        from threadpoolctl import threadpool_limits

        from collegium.router.encoder import as_fitted
        from collegium.router.router import Router

        encoder = as_fitted(self._bare_encoder(), fitted.encoder)
        encoder.encode(["The first query should not pay for lazy loading."])
        # Its threads would wait busily beside the event loop; loading the router has imported it.
        threadpool_limits(1, "blas")
        penalty = self._settings.wait_penalty
        return Router(
            encoder,
            fitted,
            self._speeds,
            wait_penalty=penalty,
            tokens=self._tokens,
            version=version,
        )

    def _bare_encoder(self) -> Encoder:
        from collegium.router.encoder import make_encoder

        with self._loading:
            if self._encoder is None:
                # One thread: the engine needs the cores, and a query is one short sentence.
                settings = self._settings
                self._encoder = make_encoder(settings.encoder, cache=settings.cache_dir, threads=1)
            return self._encoder
