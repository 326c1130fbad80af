"""The service's own embeddings, made by the router's encoder outside of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from collegium.experts.clients.counting import estimated_tokens
from collegium.web.serving.current_router import CurrentRouter

if TYPE_CHECKING:
    from collegium.router.vectors import Floats

AT_ONCE = 16
"""Texts of one batch, after which other requests have their turn."""


@dataclass(frozen=True)
class Embedded:
    """The embeddings of some texts."""

    encoder: str
    """The encoder's name."""
    vectors: Floats
    """One row of unit length per text."""
    tokens: int
    """About as many as the texts have."""
    cut: tuple[int, ...]
    """The numbers of texts that probably are longer than what the encoder reads."""


class Embedder:
    """Encodes one batch at a time: the cores are for the experts."""

    def __init__(self, router: CurrentRouter) -> None:
        self._router = router
        self._turn = asyncio.Lock()

    async def embed(self, texts: Sequence[str]) -> Embedded:
        """The vectors of some texts; ExpertUnavailable until the router is loaded."""
        import numpy as np  # where embeddings are asked for

        encoder = self._router.get().encoder
        rows = []
        for start in range(0, len(texts), AT_ONCE):
            async with self._turn:
                batch = list(texts[start : start + AT_ONCE])
                rows.append(await asyncio.to_thread(encoder.encode, batch))
        counts = [estimated_tokens(text) for text in texts]
        most = getattr(encoder, "reads_tokens", None)
        cut = (n for n, count in enumerate(counts) if most is not None and count > most)
        return Embedded(encoder.name, np.vstack(rows), sum(counts), tuple(cut))
