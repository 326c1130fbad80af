"""Load routers from their files, sharing one encoder."""

from __future__ import annotations

import logging
from threading import Lock
from typing import TYPE_CHECKING

from collegium.extras import EXTRAS
from collegium.router.artifact import FittedRouter, folder_of, load, read
from collegium.router.costs import Speeds
from collegium.router.tokens import Tokens
from collegium.settings import Settings
from collegium.web.serving.learning import Learning

log = logging.getLogger(__name__)

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
        """Load the router from the setting `router_dir`, or the bundled one."""
        fitted = load(folder_of(self._settings))
        router = self._made(fitted, None)
        mode = self._settings.online_learning
        if mode != "off":
            from collegium.router.online.learner import Learner

            router.learn_by(self._learning.open(Learner.new(fitted, mode=mode)))
        return router

    def from_files(self, card: bytes, arrays: bytes, version: str) -> Router:
        """Load the router of a version; raise ArtifactRejected if its files are damaged."""
        return self._made(read(card, arrays, f"version {version}"), version)

    def _made(self, fitted: FittedRouter, version: str | None) -> Router:
        from threadpoolctl import threadpool_limits

        from collegium.router.encoder import as_fitted, require_dimensions
        from collegium.router.followups import depends
        from collegium.router.router import Router

        encoder = as_fitted(self._bare_encoder(), fitted.encoder)
        vectors = encoder.encode(["The first query should not pay for lazy loading."])
        require_dimensions(encoder, vectors.shape[1], fitted.dimensions)
        depends("And the phrases of follow-ups are made with their first use.")
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
                _tell_of_fallback(settings)
                self._encoder = make_encoder(settings.encoder, cache=settings.cache_dir, threads=1)
            return self._encoder


def _tell_of_fallback(settings: Settings) -> None:
    """Say which encoder the installation takes instead of the better one."""
    extra = EXTRAS["encoders"]
    if "encoder" not in settings.model_fields_set and extra.missing():
        log.warning(
            "Queries are read by the static encoder; MiniLM is more accurate and needs: %s",
            extra.command,
        )
