"""An engine's declared token routing, passed to vLLM in `additional_config`.

`--additional-config '{"collegium": {"token_policy": {"top_p": 0.7}}}'` is what the plugin reads
in the engine; the service composes it (`collegium expert add --token-policy`). No torch here: the
service checks declarations without loading it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from collegium.errors import KernelMisuse, PolicyRefused

SECTION = "collegium"
Number = Annotated[int, Field(ge=0)]


class Strict(BaseModel):
    """Values that are checked and never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NullColumns(Strict):
    """Weightless experts beside the model's own, each with the same constant logit in the gate.

    A token takes one where fewer of its experts score higher: `zero` skips the slot (AdaMoE, arXiv
    2406.13233), `copy` adds the token itself (MoE++, arXiv 2410.07348). Row-local.
    """

    logit: float
    count: Annotated[int, Field(ge=1, le=64)] = 1
    kind: Literal["zero", "copy"] = "zero"


class CapacityLimit(Strict):
    """At most `factor` times its even share of a batch's slots for an expert. Not row-local."""

    factor: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.25
    reroute: bool = False


class Rules(Strict):
    """Rules on top of the model's own routing; row-local except for capacity.

    `top_p` keeps the best experts up to that share of the weight. `steering` adds to experts'
    scores for the choice alone. `kept` are the experts that are there; an absent one computes
    through its substitute, or leaves its place to the next best.
    """

    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    steering: Mapping[Number, Annotated[float, Field(allow_inf_nan=False)]] = {}
    kept: tuple[Number, ...] | None = None
    substitutes: Mapping[Number, Number] = {}
    null_experts: NullColumns | None = None
    capacity: CapacityLimit | None = None


class TokenPolicy(Rules):
    """Rules for all sparse layers, others in their place for some `layers` (numbered as in names).

    `single_tenant` declares that whoever asks the engine may change each other's answers;
    `statistics` has the engine add up what its routers did.
    """

    single_tenant: bool = False
    statistics: bool = False
    layers: Mapping[Number, Rules] = {}

    @property
    def row_local(self) -> bool:
        """Whether each token is routed by its own logits alone, in every layer."""
        return all(rules.capacity is None for rules in (self, *self.layers.values()))

    def require_tenants(self) -> None:
        """Raise PolicyRefused if tenants could change each other's answers."""
        if not self.row_local and not self.single_tenant:
            raise PolicyRefused(
                "a capacity lets one request change another's answer (it is not row-local): "
                "declare `single_tenant: true` in the policy, or leave the capacity out"
            )

    @property
    def routes(self) -> bool:
        """Whether anything is routed in another way than the model's own."""
        return bool(self.layers) or self.model_fields_set & set(Rules.model_fields) != set()

    def of(self, layer: int) -> Rules:
        """The rules of one layer."""
        return self.layers.get(layer, self)


class InEngine(Strict):
    """Our section of vLLM's `additional_config`."""

    token_policy: TokenPolicy | None = None
    statistics_file: Path | None = None
    """The file to which the engine writes its token routers' statistics."""


def parsed(text: str | bytes) -> TokenPolicy:
    """A policy from JSON; KernelMisuse says what is wrong with it."""
    try:
        return TokenPolicy.model_validate_json(text)
    except ValidationError as exc:
        raise KernelMisuse(f"invalid token policy: {_words(exc)}") from exc


def in_engine(additional_config: Any) -> InEngine:
    """Return our section of an engine's `additional_config`; an empty one if there is none."""
    section = additional_config.get(SECTION) if isinstance(additional_config, Mapping) else None
    try:
        found = InEngine.model_validate(section or {})
    except ValidationError as exc:
        raise KernelMisuse(f"additional_config.{SECTION} can't be used: {_words(exc)}") from exc
    if found.token_policy is not None:
        found.token_policy.require_tenants()
    return found


def _words(exc: ValidationError) -> str:
    errors = exc.errors(include_url=False, include_context=False)
    return "; ".join(
        f"{'.'.join(map(str, error['loc'])) or 'it'}: {error['msg'].lower()}" for error in errors
    )
