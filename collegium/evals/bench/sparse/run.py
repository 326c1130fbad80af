"""Tokens per second of vLLM on sparse models, with our kernels and with its own.

The core of `collegium bench sparse`: one engine a variant, all loaded, which take turns.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
from tqdm import tqdm

from collegium.errors import SetupError
from collegium.evals.bench.kernels.timings import quartiles
from collegium.evals.bench.sparse.engine import Ready, Workload
from collegium.evals.core.provenance import Provenance, processor, provenance
from collegium.experts.engine_log import last_error
from collegium.experts.vllm import EngineSpec, as_child, environment
from collegium.kernels.vllm_plugin import MOE_SWITCH
from collegium.registry.engine import Engine

STOCK, OURS = "vllm", "ours"
ZEN = "ZenCpuPlatform"
WORKLOADS = (
    Workload("prefill", sequences=4, prompt=512, answer=1),
    Workload("decode, alone", sequences=1, prompt=16, answer=48),
    Workload("decode, eight", sequences=8, prompt=16, answer=48),
)


@dataclass(frozen=True)
class Model:
    """A sparse model's folder; `dummy` gives it random weights, which need no file."""

    name: str
    folder: Path
    dummy: bool = False


@dataclass(frozen=True)
class Variant:
    """An engine: which experts it is to use, and a folder of packages before its own."""

    name: str
    switch: str
    packages: Path | None = None


@dataclass(frozen=True)
class Rate:
    """A variant's tokens a second, and how many times the first one's in the same round."""

    model: str
    workload: str
    variant: str
    experts: str
    tokens_s: float
    ratio: float
    spread: tuple[float, float]


@dataclass(frozen=True)
class SparseBench:
    """All rates, and who was left out why."""

    processor: str
    rates: tuple[Rate, ...]
    left_out: Mapping[str, str]
    provenance: Provenance


@dataclass(frozen=True)
class Plan:
    """What is measured; `variants` are compared with the first that serves a model."""

    models: Sequence[Model]
    variants: Sequence[Variant]
    rounds: int
    workloads: Sequence[Workload] = field(default=WORKLOADS)


def variants(zentorch: Path | None) -> tuple[Variant, ...]:
    """Stock and ours, and both again with zentorch where its folder is given."""
    found = [Variant(STOCK, "off"), Variant(OURS, "force")]
    if zentorch is not None:
        found += [Variant(f"{v.name}, zentorch", v.switch, zentorch.resolve()) for v in found]
    return tuple(found)


def bench_sparse(plan: Plan, *, command: str, progress: bool = True) -> SparseBench:
    """Load a model in all variants, let them take turns, go on to the next model."""
    rates: list[Rate] = []
    left_out: dict[str, str] = {}
    steps = len(plan.models) * (plan.rounds + 1) * len(plan.workloads)
    with tqdm(total=steps, unit="turn", disable=not progress) as bar:
        for model in plan.models:
            bar.set_postfix_str(f"{model.name}: loading")
            with contextlib.ExitStack() as stack:
                engines = {}
                for variant in plan.variants:
                    try:
                        engines[variant.name] = _loaded(model, variant, plan, stack)
                    except SetupError as exc:
                        left_out[f"{model.name}: {variant.name}"] = str(exc)
                if not engines:
                    raise SetupError(f"no engine serves {model.name}: {left_out}")
                rates += _rates(model, engines, plan, bar)
    made = provenance(command, 0, {"rounds": plan.rounds})
    return SparseBench(processor(), tuple(rates), left_out, made)


def _loaded(
    model: Model, variant: Variant, plan: Plan, stack: contextlib.ExitStack
) -> EngineProcess:
    made = stack.enter_context(engine(model, variant, plan.workloads))
    if variant.packages and made.ready.platform != ZEN:
        made.end()  # its memory is wanted
        raise SetupError("vLLM uses zentorch on AMD processors with AVX-512 only")
    return made


def _rates(model: Model, engines: Mapping[str, EngineProcess], plan: Plan, bar: Any) -> list[Rate]:
    found = []
    for workload in plan.workloads:
        bar.set_postfix_str(f"{model.name}: {workload.name}")
        taken: dict[str, list[float]] = {name: [] for name in engines}
        for turn in range(plan.rounds + 1):  # the first one warms up
            order = list(engines)[turn % len(engines) :] + list(engines)[: turn % len(engines)]
            for name in order:
                seconds = engines[name].seconds(workload, seed=turn)
                if turn:
                    taken[name].append(seconds)
            bar.update()
        first = np.array(taken[next(iter(engines))])
        for name, seconds_ in taken.items():
            ratio, spread = quartiles(first / np.array(seconds_))
            rate = workload.counted / float(np.median(seconds_))
            experts = engines[name].ready.experts
            found.append(Rate(model.name, workload.name, name, experts, rate, ratio, spread))
    return found


class EngineProcess:
    """A process that has loaded a model."""

    def __init__(self, process: subprocess.Popen[str], log: IO[bytes]) -> None:
        self._process = process
        self._log = log
        self.ready = Ready(**self._answer())

    def seconds(self, workload: Workload, seed: int) -> float:
        """How long it takes for a workload."""
        assert self._process.stdin is not None
        told = {"workload": asdict(workload), "seed": seed}
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()
        return float(self._answer()["seconds"])

    def end(self) -> None:
        """End the process, and return when it is gone."""
        self._process.kill()
        self._process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            said = self._log.read().decode(errors="replace")
            why = last_error(said) or said.strip().rpartition("\n")[2] or "it said nothing"
            raise SetupError(f"its engine ended: {why}")
        found: dict[str, Any] = json.loads(line)
        return found


@contextlib.contextmanager
def engine(
    model: Model, variant: Variant, workloads: Sequence[Workload]
) -> Iterator[EngineProcess]:
    """One that is loaded, and ended afterwards; SetupError if it can't be."""
    context = max(w.prompt + w.answer for w in workloads)
    sequences = max(w.sequences for w in workloads)
    form = "dummy" if model.dummy else "safetensors"
    program = [sys.executable, "-m", "collegium.evals.bench.sparse.engine", str(model.folder), form]
    spec = EngineSpec(Engine(name=variant.name, model_path=str(model.folder)))
    told = environment(spec) | {
        MOE_SWITCH: variant.switch,
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # all in this one process, which sleeps till asked
        "VLLM_LOGGING_LEVEL": "WARNING",
    }
    if variant.packages is not None:
        paths = str(variant.packages), os.environ.get("PYTHONPATH")
        told["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    with TemporaryFile() as log:
        process = subprocess.Popen(
            as_child([*program, str(context), str(sequences)]),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=told,
        )  # fmt: skip
        try:
            yield EngineProcess(process, log)
        finally:
            process.kill()
            process.communicate()
