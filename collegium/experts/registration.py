"""Register an expert: check it, probe it, then store it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collegium.errors import (
    CollegiumError,
    ExpertExists,
    ExpertNotFound,
    ExpertRejected,
    ModelGone,
    ProbeFailed,
    RateLimited,
    RegistryError,
)
from collegium.experts.fleet import Fleet, flags_of
from collegium.experts.fleet import check as check_engine
from collegium.experts.pool import Pool
from collegium.experts.roster import ENGINE, adapter_folder
from collegium.experts.vllm import (
    LORA_RANKS,
    USUAL_LORA_RANK,
    EngineSpec,
    lora_rank,
    with_lora_rank,
)
from collegium.extras import require
from collegium.registry.capabilities import (
    BY_HAND,
    CONTEXT,
    WINDOW,
    by_hand,
    found,
    shown,
    stated_window,
    takes,
)
from collegium.registry.engine import Engine
from collegium.registry.engines import EngineRegistry
from collegium.registry.expert import BUILTIN, EMBEDDED_ENGINES, RUN_HERE, Expert
from collegium.registry.experts import ExpertRegistry
from collegium.registry.presets import ITS_BASES, preset_of, resolved

if TYPE_CHECKING:
    from collegium.experts.probing import Probed

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
RESERVED = ("auto", "collegium")
EMBEDS = ("embeddings", "rerank")
"""Endpoints for which an expert can be registered even if it answers no chats."""


@dataclass(frozen=True)
class ProbeReport:
    """The result of a probe."""

    expert: str
    answered: bool
    answer: str
    latency_ms: float | None
    note: str
    looked_up: Mapping[str, str] = field(default_factory=dict)
    """Fields that were looked up, and the sources of their values."""
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    """All known and unknown capabilities; null for unknown ones."""
    tokens: int = 0
    """Tokens of the probe's questions and answers."""
    cost_usd: float | None = None


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
        """Check, probe and store an expert; raise ExpertExists or ProbeFailed if that fails.

        Unknown prices are looked up, and so is the context window if it is not given.
        """
        check_name(expert.name)
        await self._refuse_duplicate(expert.name)
        if expert.kind == "litellm":
            require("litellm", f"expert '{expert.name}'")
        if expert.kind == "lora":
            self._refuse_unknown_engine(expert)
            expert = checked_adapter(expert)
            await self._raise_rank(expert)
        if context_stated:
            expert = replace(expert, capabilities=stated_window(expert.capabilities))
        from collegium.experts.model_info import described

        expert, looked_up = await described(expert, self._pool, context_stated=context_stated)
        expert, report = await self._examined(expert)
        report = replace(report, looked_up=looked_up)
        if not context_stated and CONTEXT not in looked_up:
            words = (
                f"its context window is assumed to be {expert.context_window} tokens (state it "
                f"with `collegium expert update {expert.name} --context …`)"
            )
            report = replace(report, note=f"{report.note}; {words}")
        await self._registry.register(expert)
        return expert, report

    async def register_preset(
        self, name: str, like: str, settings: Mapping[str, Any], **fields: Any
    ) -> tuple[Expert, ProbeReport]:
        """Check, probe and store a preset of another expert's model.

        It has its own name, prices (by default its base's), description, levels and tags;
        everything else is its base's, and follows changes of the base.
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

    async def register_engine(
        self, expert: Expert, engine: Engine, *, context_stated: bool = True
    ) -> tuple[Expert, ProbeReport]:
        """Start an engine and probe its expert; store both, or neither if anything fails.

        The context window, if it is not given, is the checkpoint's as far as memory allows.
        """
        check_name(expert.name)
        await self._refuse_duplicate(expert.name)
        check_engine(engine)
        looked_up = {}
        if not context_stated and (window := self._window(engine)) is not None:
            expert = replace(expert, context_window=window)
            engine = engine.model_copy(update={"context": window})
            looked_up = {CONTEXT: "its checkpoint, and the memory here"}
        if self._fleet is None or self._engines is None:
            raise ProbeFailed("engines are started by the running service: run `collegium serve`")
        if engine.name in self._fleet or engine.name in EMBEDDED_ENGINES:
            raise ExpertExists(f"an engine '{engine.name}' already exists")
        await self._fleet.start(engine)
        try:
            status = await self._fleet.settled(engine.name)
            if status.state != "ready":
                raise ProbeFailed(f"the engine of '{expert.name}' does not start: {status.detail}")
            from collegium.experts.model_info import from_files

            told = from_files(Path(engine.model_path), flags_of(engine)).capabilities
            known = {**told, **({WINDOW: True} if looked_up else {})}
            expert = replace(expert, capabilities=found(expert.capabilities, known))
            report = replace(await self.probe(expert), looked_up=looked_up)
            await self._engines.register(engine)
            await self._registry.register(expert)
        except BaseException:  # also when cancelled: no engine runs that nobody knows
            await self._fleet.end(engine.name)
            await self._engines.remove(engine.name)
            raise
        return expert, report

    async def remove(self, name: str, *, with_presets: bool = False) -> None:
        """Remove an expert and its own engine; an engine that has adapters can't be removed."""
        expert, everybody = await self._registry.get(name), await self._registry.list()
        users = [e.origin for e in everybody if e.engine == expert.engine]
        own = expert.kind == "engine" and expert.engine == name and self._engines is not None
        if own and (others := ", ".join(sorted({*users} - {name}))):
            raise RegistryError(f"the engine of '{name}' also runs {others}: remove those first")
        await self._registry.remove(name, with_presets=with_presets)
        if own and self._engines is not None:
            await self._engines.remove(name)

    async def probe(self, expert: Expert) -> ProbeReport:
        """Send an expert a greeting; an engine that this process does not run is not called."""
        if expert.engine is not None and expert.engine not in self._pool.engines:
            note = f"engine '{expert.engine}' is not running here; asked at the first request"
            return ProbeReport(expert.name, False, "", None, note, capabilities=shown(expert))
        from collegium.experts.probing import hello  # for those that register, as below

        try:
            said = await hello(self._pool, expert)
        except CollegiumError as exc:
            raise ProbeFailed(f"'{expert.name}' did not answer its probe: {exc.whole}") from exc
        return _report(expert, said, "answered the probe")

    async def probe_again(self, name: str) -> tuple[Expert, ProbeReport]:
        """Probe a registered expert again; capabilities set by hand take precedence."""
        before = await self._registry.get(name)
        if before.preset is not None:
            return before, await self.probe(before)
        kept = by_hand(before.capabilities)
        stated = CONTEXT in kept.get(BY_HAND, ())
        from collegium.experts.model_info import described

        asked = replace(before, capabilities=kept)
        asked, looked_up = await described(asked, self._pool, context_stated=stated)
        asked, report = await self._examined(asked)
        changes = {f: getattr(asked, f) for f in ("capabilities", CONTEXT)}
        if any(getattr(before, f) != value for f, value in changes.items()):
            asked = await self._registry.update(name, **changes)
        return asked, replace(report, looked_up=looked_up)

    async def _examined(self, expert: Expert) -> tuple[Expert, ProbeReport]:
        """Return the expert with the results of its probe; ProbeFailed if it answers nothing."""
        if expert.kind in RUN_HERE:
            return expert, await self.probe(expert)
        from collegium.experts.probing import examine, hello

        try:
            said = await hello(self._pool, expert)
        except CollegiumError as exc:
            return await self._without_chat(expert, exc)
        await examine(self._pool, expert, said)
        expert = replace(expert, capabilities=said.of(expert))
        return expert, _report(expert, said, "answered its probe")

    async def _without_chat(
        self, expert: Expert, why: CollegiumError
    ) -> tuple[Expert, ProbeReport]:
        """Probe an expert that serves embeddings or rankings but no chats."""
        from collegium.experts.probing import serving

        served: Mapping[str, bool | None] = {}
        if expert.kind == "openai" and _may_lack_chats(expert, why):
            served = await serving(self._pool, expert, EMBEDS)
        if not any(served.values()):
            from collegium.experts.model_info import hint_at_address

            words = f"'{expert.name}' did not answer its probe: {why.whole}"
            raise ProbeFailed(f"{words}{hint_at_address(expert, why)}") from why
        await self._pool.forgive(expert)
        told = {"chat": False, **served}
        expert = replace(expert, capabilities=found(expert.capabilities, told))
        names = " and ".join(name for name, there in served.items() if there)
        note = f"does not answer chats, but serves {names}"
        return expert, ProbeReport(expert.name, True, "", None, note, capabilities=shown(expert))

    def _window(self, engine: Engine) -> int | None:
        from collegium.experts.sizing import context_of

        placer = self._fleet.placer if self._fleet is not None else None
        cards = placer.cards if placer is not None else ()
        spec = EngineSpec(engine, capability=placer.capability if placer is not None else None)
        return context_of(spec.model_path, engine.cache_gib, spec.dtype, cards)

    async def _raise_rank(self, expert: Expert) -> None:
        """Restart a registered engine for adapters of a higher rank."""
        folder, supervisor = adapter_folder(expert), self._pool.engines.get(expert.engine or "")
        engine = None if supervisor is None else supervisor.spec.engine
        rank = USUAL_LORA_RANK if folder is None else _rank(folder)
        most = USUAL_LORA_RANK if engine is None else lora_rank(engine)
        embedded = expert.engine in EMBEDDED_ENGINES
        if rank <= most or (engine is None and not embedded):  # else it does not run here
            return
        if self._fleet is None or self._engines is None or engine is None or embedded:
            raise ProbeFailed(f"the adapter has rank {rank}; the engine takes 1 to {most}")
        if not engine.lora_slots:
            words = f"the engine '{engine.name}' has no slots for adapters (--lora-slots)"
            raise ProbeFailed(words)
        higher = with_lora_rank(engine, rank)
        await self._engines.register(higher)
        await self._fleet.replace(higher)
        status = await self._fleet.settled(engine.name)
        if status.state != "ready":
            raise ProbeFailed(f"'{engine.name}' does not start for rank {rank}: {status.detail}")

    def _refuse_unknown_engine(self, expert: Expert) -> None:
        known = sorted({ENGINE, *self._pool.engines})
        if expert.engine and expert.engine not in known:
            raise ProbeFailed(
                f"there is no engine '{expert.engine}'; available: {', '.join(known)}"
            )

    async def _refuse_duplicate(self, name: str) -> None:
        try:
            await self._registry.get(name)
        except ExpertNotFound:
            return
        raise ExpertExists(f"expert '{name}' already exists: update it, or remove it first")


def _may_lack_chats(expert: Expert, why: CollegiumError) -> bool:
    """Whether a failure means that the expert has no chats, rather than that it is down or busy."""
    refused = isinstance(why, ModelGone | ExpertRejected) and not isinstance(why, RateLimited)
    return refused and takes(expert, "chat") is not True


def _report(expert: Expert, said: Probed, note: str) -> ProbeReport:
    spent = said.spent
    tokens = spent.prompt_tokens + spent.completion_tokens
    return ProbeReport(
        expert.name,
        True,
        said.text,
        said.latency_ms,
        note,
        capabilities=shown(expert),
        tokens=tokens,
        cost_usd=spent.usd,
    )


def check_name(name: str) -> None:
    """Refuse names that would not work as a model name in the API."""
    if not NAME.fullmatch(name) or name in RESERVED:
        raise RegistryError(
            f"'{name}' is not a valid expert name: use letters, digits, '.', '_' and '-', at most "
            f"64, and none of {', '.join(RESERVED)}"
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
    if not 1 <= rank <= LORA_RANKS[-1]:
        raise ProbeFailed(f"the adapter has rank {rank}; vLLM takes 1 to {LORA_RANKS[-1]}")
    if (expert.adapter or "").startswith(BUILTIN):
        return expert
    return replace(expert, adapter=str(folder.resolve()))


def _rank(folder: Path) -> int:
    """The highest rank of an adapter's modules."""
    try:
        config = json.loads((folder / "adapter_config.json").read_text())
        if config["peft_type"] != "LORA":
            raise ProbeFailed(f"the adapter is of type {config['peft_type']}, not LORA")
        if config.get("use_dora"):
            raise ProbeFailed("the adapter is DoRA, which vLLM does not compute: merge it first")
        return max(
            int(rank) for rank in (config["r"], *(config.get("rank_pattern") or {}).values())
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as exc:
        problem = f"{type(exc).__name__}: {exc}"
        raise ProbeFailed(f"'{folder}' has no usable adapter_config.json: {problem}") from exc
