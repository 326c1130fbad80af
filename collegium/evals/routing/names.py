"""Map recorded models to registered experts."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from collegium.errors import SetupError
from collegium.registry.expert import Expert
from collegium.router.forecasting import fingerprint, named


@dataclass(frozen=True)
class ModelNames:
    """Models are matched by what a person said, else by an expert's name or its served model.

    An exact match comes before one that differs in case, punctuation or a maker in front of "/".
    Where several experts match equally well none is taken: a person has to say which.
    """

    given: Mapping[str, str] = field(default_factory=dict)
    """Experts by models, as a person said."""
    experts: tuple[Expert, ...] = ()

    def expert(self, model: str) -> str | None:
        """Return the name of a model's expert, or None."""
        if model in self.given:
            return self.given[model]
        found = self._candidates(model)
        return found[0].name if len(found) == 1 else None

    def outcomes_of(self, models: Sequence[str]) -> list[str]:
        """Return what the outcomes of each model are known by; a model without expert by itself."""
        owners: dict[str, str] = {}
        for model in models:
            owner = self.expert(model) or model
            if owner in owners:
                raise SetupError(
                    f"the outcomes of both '{owners[owner]}' and '{model}' belong to the expert "
                    f"'{owner}'; say whose each are with --map MODEL=EXPERT"
                )
            owners[owner] = model
        return [named(owner) for owner in owners]

    def column(self, model: str, fingerprints: Sequence[str]) -> int | None:
        """Return where a fitted router has a model's expert, or None."""
        for known in self._known_as(model):
            if known in fingerprints:
                return fingerprints.index(known)
        wanted = named(plain(model))
        alike = [i for i, each in enumerate(fingerprints) if named(plain(_name(each))) == wanted]
        return alike[0] if len(alike) == 1 and model not in self.given else None

    def unmatched(self, models: Sequence[str]) -> list[str]:
        """Return the models without an expert, each with the experts that it might be."""
        said = []
        for model in models:
            if self.expert(model) is None:
                found = [expert.name for expert in self._candidates(model)]
                said.append(f"{model} ({' or '.join(found)}?)" if found else model)
        return said

    def check_given(self, models: Sequence[str]) -> None:
        """Refuse a mapped model that no set has: it may be mistyped."""
        if unknown := [model for model in self.given if model not in models]:
            raise SetupError(
                f"--map names '{unknown[0]}', of which there are no outcomes; there are those of "
                f"{', '.join(models)}"
            )

    def _candidates(self, model: str) -> list[Expert]:
        """Return the experts that match best: by name, by served model, then less exactly.

        A preset is more than the model that it serves: it matches by its name alone.
        """
        experts, wanted = self.experts, plain(model)
        serving = [e for e in experts if e.preset is None]
        ways = (
            [e for e in experts if e.name == model],
            [e for e in serving if e.model == model],
            [e for e in experts if plain(e.name) == wanted],
            [e for e in serving if plain(e.model) == wanted],
        )
        return next((found for found in ways if found), [])

    def _known_as(self, model: str) -> list[str]:
        name = self.expert(model)
        weights = [fingerprint(expert) for expert in self.experts if expert.name == name]
        own = [] if model in self.given else [named(model)]
        return [*([] if name is None else [named(name)]), *weights, *own]


def plain(name: str) -> str:
    """Return a name without its maker, in small letters, with "-" for each run of punctuation."""
    return re.sub(r"[^a-z0-9]+", "-", name.rpartition("/")[2].lower()).strip("-")


def _name(fingerprint: str) -> str:
    return fingerprint.removeprefix(named(""))
