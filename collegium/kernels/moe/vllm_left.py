"""Log which sparse layers of a model our kernels leave to vLLM: one line for each reason."""

from __future__ import annotations

import functools
import logging
from collections import Counter
from typing import Any

from vllm.model_executor.model_loader.base_loader import BaseModelLoader

log = logging.getLogger(__name__)


class LayersLeft:
    """The layers of the model that is being built, which vLLM asks about one by one."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._reason: str | None = None

    def because(self, reason: str | None) -> None:
        """Remember why we don't take the layer that is being built; None if we do."""
        self._reason = reason

    def add(self, method: object) -> None:
        """Count that layer. Without a reason, vLLM never asked us: its weights are of a kind that
        we don't have."""
        kind = f"weights are quantised, or vLLM's own ({type(method).__name__})"
        self._counts[self._reason or kind] += 1
        self._reason = None

    def tell(self) -> None:
        """Write the lines; also for a layer at which building the model failed."""
        if self._reason is not None:
            self._counts[self._reason] += 1
        for reason, count in self._counts.items():
            log.warning("Collegium's kernels leave %d sparse layer(s) to vLLM: %s", count, reason)
        self._counts.clear()
        self._reason = None


LEFT = LayersLeft()


def install() -> None:
    """Write the lines once a model is built; plugins are loaded more than once."""
    name = "create_model" if hasattr(BaseModelLoader, "create_model") else "load_model"
    stock = getattr(BaseModelLoader, name)
    if getattr(stock, "of_collegium", False):
        return

    @functools.wraps(stock)
    def built(*args: Any, **named: Any) -> Any:
        try:
            return stock(*args, **named)
        finally:
            LEFT.tell()

    built.of_collegium = True  # type: ignore[attr-defined]
    setattr(BaseModelLoader, name, built)
