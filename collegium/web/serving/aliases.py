"""Alternative names of models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from collegium.errors import UnknownModel
from collegium.registry.expert import Expert
from collegium.router.virtual_models import VIRTUAL_MODELS
from collegium.web.protocols.chat_request import panel_models


class Aliases:
    """The setting `model_aliases`: names, or patterns with `*`, and their targets.

    Experts and virtual models keep their own names. An alias without `*` comes before patterns, and
    of those the first that fits counts.
    """

    def __init__(self, aliases: Mapping[str, str] | None = None) -> None:
        self._aliases = dict(aliases or {})

    def resolve(self, name: str, experts: Sequence[Expert]) -> str:
        """Return the model that a name stands for; the name itself if it has no alias."""
        if not self._aliases or _is_model(name, experts):
            return name
        target = self._aliases.get(name) or self._matching(name)
        if target is None:
            return name
        if not _is_model(target, experts):
            raise UnknownModel(
                f"The model '{name}' is an alias of '{target}', which is not a model: correct the "
                "setting model_aliases",
                "model",
            )
        return target

    def _matching(self, name: str) -> str | None:
        return next((to for alias, to in self._aliases.items() if fnmatchcase(name, alias)), None)


def _is_model(name: str, experts: Sequence[Expert]) -> bool:
    return name in VIRTUAL_MODELS or name in panel_models() or any(name == e.name for e in experts)
