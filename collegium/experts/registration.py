"""Register an expert: check what can be checked, ask it something, then keep it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from collegium.errors import (
    CollegiumError,
    ExpertExists,
    ExpertNotFound,
    ProbeFailed,
    RegistryError,
)
from collegium.experts.clients.api_keys import USUAL, api_key
from collegium.experts.clients.connection import is_address
from collegium.experts.clients.http import HttpExpert
from collegium.experts.clients.reply import Call
from collegium.experts.fleet import Fleet
from collegium.experts.fleet import check as check_engine
from collegium.experts.pool import Pool
from collegium.experts.roster import ENGINE, adapter_folder
from collegium.experts.vllm import MOST_LORA_RANK
from collegium.registry.engine import Engine
from collegium.registry.engines import EngineRegistry
from collegium.registry.expert import BUILTIN, EMBEDDED_ENGINES, RUN_HERE, Expert
from collegium.registry.experts import ExpertRegistry
from collegium.registry.presets import ITS_BASES, preset_of, resolved

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
RESERVED = ("auto", "collegium")
PROBE = {
    "messages": [{"role": "user", "content": "Say hello."}],
    "max_tokens": 8,
    "temperature": 0,
}


@dataclass(frozen=True)
class ProbeReport:
    """What a probe found."""

    expert: str
    answered: bool
    answer: str
    latency_ms: float | None
    note: str
    looked_up: Mapping[str, str] = field(default_factory=dict)
    """Fields that nobody stated, and where their values come from."""


class Registration:
    """Registers experts after probing them; a refusal changes nothing."""

    def __init__(
        self,
        registry: ExpertRegistry,
        pool: Pool,
        fleet: Fleet | None = None,
        engines: EngineRegistry | None = None,
    ) -> None:
        self._registry = registry
        self._pool = pool
        self._fleet = fleet
        self._engines = engines

    async def register(
        self, expert: Expert, *, context_stated: bool = True
    ) -> tuple[Expert, ProbeReport]:
        """Check, probe and keep an expert; ExpertExists or ProbeFailed say why not.

        Prices that are unknown, and the context window unless somebody stated it, are looked up.
        """
        check_name(expert.name)
        await self._refuse_duplicate(expert.name)
        if expert.kind == "lora":
            self._refuse_unknown_engine(expert)
            expert = checked_adapter(expert)
        if expert.kind == "openai":
            expert = await found_on_endpoint(expert, self._pool.key_variables)
        expert, looked_up = with_listed(expert, context_stated=context_stated)
        report = replace(await self.probe(expert), looked_up=looked_up)
        if not context_stated and "context_window" not in looked_up:
            words = f"its context window is taken to be {expert.context_window} tokens"
            report = replace(report, note=f"{report.note}; {words}")
        await self._registry.register(expert)
        return expert, report

    async def register_preset(
        self, name: str, like: str, settings: Mapping[str, Any], **fields: Any
    ) -> tuple[Expert, ProbeReport]:
        """Check, probe and keep another expert's model with a preset.

        It has a name, a price (its base's unless stated), a description, levels and tags of its
        own; all else is its base's, also when that changes.
        """
        check_name(name)
        await self._refuse_duplicate(name)
        base = await self._registry.get(like)
        reached = {field: getattr(base, field) for field in ITS_BASES}
        own = Expert(name, **reached, preset=preset_of(base, settings), **fields)
        used = resolved(own, base)
        report = await self.probe(used)
        await self._registry.register(own)
        return used, report

    async def register_engine(self, expert: Expert, engine: Engine) -> tuple[Expert, ProbeReport]:
        """Start an engine for an expert of its own, probe that and keep both; or neither."""
        check_name(expert.name)
        await self._refuse_duplicate(expert.name)
        check_engine(engine)
        if self._fleet is None or self._engines is None:
            raise ProbeFailed("an engine is started by the running service: `collegium serve`")
        if engine.name in self._fleet or engine.name in EMBEDDED_ENGINES:
            raise ExpertExists(f"an engine '{engine.name}' exists already")
        await self._fleet.start(engine)
        try:
            status = await self._fleet.settled(engine.name)
            if status.state != "ready":
                raise ProbeFailed(f"the engine of '{expert.name}' does not start: {status.detail}")
            report = await self.probe(expert)
            await self._engines.register(engine)
            await self._registry.register(expert)
        except BaseException:  # also when cancelled: no engine runs that nobody knows
            await self._fleet.end(engine.name)
            await self._engines.remove(engine.name)
            raise
        return expert, report

    async def remove(self, name: str, *, with_presets: bool = False) -> None:
        """Forget an expert, and the engine that is its own; adapters on that keep it."""
        expert, everybody = await self._registry.get(name), await self._registry.list()
        users = [e.origin for e in everybody if e.engine == expert.engine]
        own = expert.kind == "engine" and expert.engine == name and self._engines is not None
        if own and (others := ", ".join(sorted({*users} - {name}))):
            raise RegistryError(f"the engine of '{name}' also runs {others}: remove those first")
        await self._registry.remove(name, with_presets=with_presets)
        if own and self._engines is not None:
            await self._engines.remove(name)

    async def probe(self, expert: Expert) -> ProbeReport:
        """Ask an expert to say hello; an engine that this process does not run is not asked."""
        if expert.engine is not None and expert.engine not in self._pool.engines:
            note = f"engine '{expert.engine}' is not running here; asked at the first request"
            return ProbeReport(expert.name, False, "", None, note)
        started = time.perf_counter()
        try:
            text = await _hello(self._pool, expert)
        except CollegiumError as exc:
            raise ProbeFailed(f"'{expert.name}' did not answer its probe: {exc.whole}") from exc
        latency_ms = 1000 * (time.perf_counter() - started)
        return ProbeReport(expert.name, True, text, latency_ms, "answered its probe")

    def _refuse_unknown_engine(self, expert: Expert) -> None:
        known = sorted({ENGINE, *self._pool.engines})
        if expert.engine and expert.engine not in known:
            raise ProbeFailed(f"there is no engine '{expert.engine}'; there is {', '.join(known)}")

    async def _refuse_duplicate(self, name: str) -> None:
        try:
            await self._registry.get(name)
        except ExpertNotFound:
            return
        raise ExpertExists(f"expert '{name}' exists already: update it, or remove it first")


async def _hello(pool: Pool, expert: Expert) -> str:
    """What an expert answers to the probe."""
    async with pool.ask(Call(expert, PROBE)) as reply:
        return (await reply.whole()).text


def with_listed(expert: Expert, *, context_stated: bool) -> tuple[Expert, dict[str, str]]:
    """The expert with what a price list knows and nobody stated, and where each value is from."""
    from collegium.experts.prices import listed  # for those that register

    entry = None if expert.kind in RUN_HERE else listed(expert)
    if entry is None:
        return expert, {}
    wanted = {name for name in ("input_price", "output_price") if getattr(expert, name) is None}
    wanted |= set() if context_stated else {"context_window"}
    found = {name: value for name in wanted if (value := getattr(entry, name)) is not None}
    source = f"LiteLLM's price list, as {entry.key}"
    return replace(expert, **found), dict.fromkeys(sorted(found), source)


def check_name(name: str) -> None:
    """Refuse names that would not work as a model name in the API."""
    if not NAME.fullmatch(name) or name in RESERVED:
        raise ProbeFailed(
            f"'{name}' can't name an expert: use letters, digits, '.', '_' and '-', at most 64, "
            f"and none of {', '.join(RESERVED)}"
        )


def checked_adapter(expert: Expert) -> Expert:
    """Check a LoRA adapter's files: configuration, safetensors weights, a rank that fits."""
    if not expert.engine:
        raise ProbeFailed("a LoRA adapter needs the engine that it runs on (--on ENGINE)")
    folder = adapter_folder(expert)
    if folder is None or not folder.is_dir():
        raise ProbeFailed(f"there is no adapter folder '{folder}'")
    if not (folder / "adapter_model.safetensors").is_file():
        hint = " (weights in pickles, .bin or .pt, are never loaded)"
        raise ProbeFailed(f"'{folder}' has no adapter_model.safetensors{hint}")
    rank = _rank(folder)
    if not 1 <= rank <= MOST_LORA_RANK:
        raise ProbeFailed(f"the adapter has rank {rank}; the engine takes 1 to {MOST_LORA_RANK}")
    if (expert.adapter or "").startswith(BUILTIN):
        return expert
    return replace(expert, adapter=str(folder.resolve()))


def _rank(folder: Path) -> int:
    try:
        config = json.loads((folder / "adapter_config.json").read_text())
        if config["peft_type"] != "LORA":
            raise ProbeFailed(f"the adapter is of type {config['peft_type']}, not LORA")
        return int(config["r"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as exc:
        problem = f"{type(exc).__name__}: {exc}"
        raise ProbeFailed(f"'{folder}' has no usable adapter_config.json: {problem}") from exc


async def found_on_endpoint(expert: Expert, key_variables: Sequence[str] = USUAL) -> Expert:
    """Check an OpenAI-compatible address and take the model's name from it."""
    if not is_address(expert.base_url or ""):
        raise ProbeFailed(
            f"'{expert.base_url}' is no address of an API: give it as http://HOST:PORT/v1"
        )
    try:
        rows = await _served(expert, key_variables)
    except CollegiumError as exc:
        raise ProbeFailed(f"{expert.base_url} does not answer GET /models: {exc.whole}") from exc
    if expert.model in rows:
        return expert
    served = ", ".join(rows) or "none"
    if expert.model:
        raise ProbeFailed(f"{expert.base_url} serves no model '{expert.model}'; it serves {served}")
    if len(rows) != 1:
        raise ProbeFailed(f"{expert.base_url} serves {served}: name one with --model")
    return replace(expert, model=rows[0])


async def _served(expert: Expert, key_variables: Sequence[str]) -> tuple[str, ...]:
    key = api_key(expert, key_variables)
    endpoint = HttpExpert(expert.name, expert.base_url or "", "", api_key=key, timeout_s=15.0)
    try:
        return await endpoint.models()
    finally:
        await endpoint.aclose()
