"""`pool.toml`: the models of a pool and their load, for `collegium pool plan`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from collegium.errors import ProbeFailed, SettingsError
from collegium.experts.checkpoint import BYTES, GIB, Checkpoint, read_checkpoint
from collegium.experts.placement.plan import Card, Need

MOST_CARDS = 64
CARDS = re.compile(r"(\d{1,3})x(\d{1,4}(?:\.\d+)?)")
SHAPE = ("parameters_b", "layers", "heads", "kv_heads", "head_dim")
"""Fields that describe a model without a folder."""
LONGEST_SHOWN = 40
"""Characters of a wrong value that a message shows."""

Name = Annotated[str, Field(min_length=1, max_length=64)]
Count = Annotated[int, Field(ge=1, le=2**31 - 1)]
Amount = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
Indices = Annotated[tuple[Annotated[int, Field(ge=0, lt=MOST_CARDS)], ...], Field(max_length=16)]


READ = (*SHAPE[1:], "weights_gib", "dtype", "hidden", "intermediate")
"""Fields that are read from a model's folder where there is one."""


class PlannedExpert(BaseModel):
    """One `[[expert]]`: a model with an engine of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    model_path: str | None = None
    """The model's folder; its config.json and its weights determine the shape instead of the fields
    below."""
    parameters_b: Amount | None = None
    active_parameters_b: Amount | None = None
    """The parameters of a sparse model that a token uses."""
    weights_gib: Amount | None = None
    """Default: the parameters times the size of their number format."""
    dtype: Literal["bfloat16", "float16", "float32", "fp8", "int8", "int4"] = "bfloat16"
    layers: Annotated[int, Field(ge=1, le=1000)] | None = None
    heads: Annotated[int, Field(ge=1, le=1024)] | None = None
    kv_heads: Annotated[int, Field(ge=1, le=1024)] | None = None
    head_dim: Annotated[int, Field(ge=1, le=4096)] | None = None
    hidden: Count | None = None
    intermediate: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    context: Count = 8192
    """Tokens of the KV cache that each request may use."""
    sequences: Annotated[int, Field(ge=1, le=4096)] = 32
    """Number of requests at once."""
    requests_per_minute: Annotated[float, Field(ge=0, le=1e5, allow_inf_nan=False)] = 0.0
    always: bool = False
    sleep_level: Literal[0, 1, 2] = 0
    tensor_parallel: Annotated[int, Field(ge=1, le=MOST_CARDS)] | None = None
    cards: Indices | None = None
    now: Indices = ()

    @model_validator(mode="after")
    def _described(self) -> PlannedExpert:
        missing = [name for name in SHAPE if getattr(self, name) is None]
        if self.weights_gib is not None and "parameters_b" in missing:
            missing.remove("parameters_b")
        if self.model_path is None and missing:
            raise ValueError(f"give model_path, or also {', '.join(missing)}")
        if self.model_path is not None and (both := self.model_fields_set & set(READ)):
            raise ValueError(f"leave out {', '.join(sorted(both))}: model_path determines it")
        if (self.heads or 1) % (self.kv_heads or 1):
            raise ValueError(f"kv_heads, {self.kv_heads}, has to divide heads, {self.heads}")
        if (self.active_parameters_b or 0.0) > (self.parameters_b or 0.0):
            raise ValueError("active_parameters_b is at most parameters_b, which has to be given")
        for field in ("cards", "now"):
            indices = getattr(self, field) or ()
            if len(set(indices)) < len(indices):
                raise ValueError(f"{field} names a card twice")
        if self.cards == ():
            raise ValueError("cards is empty: leave it out for any cards")
        return self

    def checkpoint(self, folder: Path) -> Checkpoint:
        """Return its shape; a relative `model_path` is relative to the file's folder."""
        if self.model_path is not None:
            found = read_checkpoint(folder / self.model_path)
            if not found.weights_gib:
                raise ProbeFailed(f"'{folder / self.model_path}' has no .safetensors weights")
            return found
        layers, heads, kv_heads, head_dim = (getattr(self, name) or 1 for name in SHAPE[1:])
        stated = (self.parameters_b or 0.0) * 1e9 * BYTES[self.dtype] / GIB
        return Checkpoint(
            weights_gib=self.weights_gib or stated,
            layers=layers,
            heads=heads,
            kv_heads=kv_heads,
            head_dim=head_dim,
            context=self.context,
            dtype=self.dtype if self.dtype.endswith(("16", "32")) else "bfloat16",
            hidden=self.hidden or heads * head_dim,
            intermediate=self.intermediate,
        )


class PlannedLora(BaseModel):
    """One `[[lora]]`: an adapter, which runs on its base's engine."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    base: Name
    rank: Annotated[int, Field(ge=1, le=512)] = 16
    requests_per_minute: Annotated[float, Field(ge=0, le=1e5, allow_inf_nan=False)] = 0.0


class PlannedPool(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    expert: Annotated[tuple[PlannedExpert, ...], Field(min_length=1, max_length=100)]
    lora: Annotated[tuple[PlannedLora, ...], Field(max_length=1000)] = ()

    @model_validator(mode="after")
    def _consistent(self) -> PlannedPool:
        names = [e.name for e in self.expert] + [lora.name for lora in self.lora]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"these names are used twice: {', '.join(twice)}")
        experts = {expert.name for expert in self.expert}
        if lost := sorted({lora.base for lora in self.lora} - experts):
            raise ValueError(f"no [[expert]] is called {', '.join(lost)}, which is a LoRA's base")
        return self

    def needs(self, folder: Path) -> list[Need]:
        """Return each engine's needs with its adapters; ProbeFailed for an invalid model folder."""
        return [self._need(expert, folder) for expert in self.expert]

    def _need(self, expert: PlannedExpert, folder: Path) -> Need:
        loras = [lora for lora in self.lora if lora.base == expert.name]
        asked = expert.requests_per_minute + sum(lora.requests_per_minute for lora in loras)
        active = 1.0
        if expert.active_parameters_b and expert.parameters_b:
            active = min(1.0, expert.active_parameters_b / expert.parameters_b)
        return Need(
            expert.name,
            expert.checkpoint(folder),
            sequences=expert.sequences,
            context=expert.context,
            requests_per_minute=asked,
            active=active,
            loras=len(loras),
            lora_rank=max((lora.rank for lora in loras), default=0),
            always=expert.always,
            sleep_level=expert.sleep_level,
            cards=expert.cards,
            degree=expert.tensor_parallel,
            now=expert.now,
        )


TABLES: Mapping[str, type[BaseModel]] = {"expert": PlannedExpert, "lora": PlannedLora}


def read_pool(path: Path) -> PlannedPool:
    """Read and check a file; SettingsError names the table and the invalid field."""
    try:
        data: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise SettingsError(f"{path} can't be read: {exc.strerror or exc}") from exc
    except (ValueError, RecursionError) as exc:  # no UTF-8, no TOML, or a number without an end
        raise SettingsError(f"{path} is not TOML: {exc}") from exc
    try:
        return PlannedPool.model_validate(data)
    except ValidationError as exc:
        raise SettingsError(f"{path}: {_first(exc, data)}") from exc


def needs_of(pool: PlannedPool, folder: Path, cards: Sequence[Card]) -> list[Need]:
    """Return the needs of its engines; SettingsError for a missing model folder or card."""
    known = {card.index for card in cards}
    for expert in pool.expert:
        if lost := sorted({*(expert.cards or ()), *expert.now} - known):
            there = ", ".join(map(str, sorted(known)))
            words = ", ".join(map(str, lost))
            raise SettingsError(f"expert '{expert.name}' names card {words}; there is {there}")
    try:
        return pool.needs(folder)
    except ProbeFailed as exc:
        raise SettingsError(f"{exc}; correct model_path, or describe the shape instead") from exc


def parse_cards(text: str) -> list[Card]:
    """Parse `2x80` or `1x24,2x80`: numbers of cards and the GiB of each; or raise SettingsError."""
    cards: list[Card] = []
    for part in text.split(","):
        match = CARDS.fullmatch(part.strip())
        if match is None or not int(match[1]) or not float(match[2]):
            raise SettingsError(
                f"--gpus: '{part.strip()}' is no number of GPUs and the GiB of each, such as 2x80"
            )
        first, count = len(cards), int(match[1])
        if first + count > MOST_CARDS:
            raise SettingsError(f"--gpus: '{text}' is more than {MOST_CARDS} GPUs")
        cards += [Card(first + i, float(match[2])) for i in range(count)]
    return cards


def _first(exc: ValidationError, data: dict[str, Any]) -> str:
    """Describe the first error: its table, its field and the reason.

    A misspelt table comes before the one that is missing because of it.
    """
    errors = exc.errors()
    unknown = (e for e in errors if e["type"] == "extra_forbidden" and len(e["loc"]) == 1)
    wrong = next(unknown, errors[0])
    where, model = list(wrong["loc"]), cast("type[BaseModel]", PlannedPool)
    if len(where) >= 2 and isinstance(where[1], int):
        table, number, *fields = where
        row = data[str(table)][number]
        name = row.get("name") if isinstance(row, dict) else None
        which = f"'{name}'" if isinstance(name, str) else f"number {int(number) + 1}"
        where = [f"{table} {which}", *fields]
        model = TABLES[str(table)]
    return ": ".join([*(str(part) for part in where), _reason(wrong, model)])


def _reason(wrong: ErrorDetails, model: type[BaseModel]) -> str:
    """Say what is wrong with a field, and what to write instead."""
    if wrong["type"] == "extra_forbidden":
        known = list(model.model_fields)
        close = get_close_matches(str(wrong["loc"][-1]), known, n=1)
        return f"unknown; did you mean {close[0]}?" if close else f"unknown; use {', '.join(known)}"
    if wrong["type"] == "missing":
        table = "the file describes no model; begin each one with [[expert]]"
        return table if model is PlannedPool else "missing"
    if wrong["type"] in ("tuple_type", "model_type") and len(wrong["loc"]) <= 2:
        return f"write [[{wrong['loc'][0]}]] above the fields of each"
    words = wrong["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if wrong["type"] == "value_error" or not isinstance(wrong["input"], str | int | float):
        return words
    return f"{words}, not {repr(wrong['input'])[:LONGEST_SHOWN]}"
