"""`collegium doctor`: check this machine, and say what is missing and how to install it."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from collegium.cli.output import json_option, print_json
from collegium.errors import CollegiumError
from collegium.extras import EXTRAS

GIB = 2**30
DRIVER = Path("/proc/driver/nvidia/version")
POOL = EXTRAS["embedded"]


@dataclass(frozen=True)
class Finding:
    """One check: whether it passed, what was found, and how to fix it."""

    check: str
    ok: bool
    found: str
    mend: str = ""
    needed: bool = True
    """Whether the service can't do without it, as it is set up."""


@click.command(epilog="Example: collegium doctor --json")
@json_option
def command(as_json: bool) -> None:
    """Check this machine and report what is missing. Exits with 1 if anything is."""
    checks: tuple[Callable[[], Finding], ...] = (
        _python, _memory, _disk, _vector_unit, _gpus, _settings, _encoder, _adapters,
        _router, _registry, _replicas, _extensions,
    )  # fmt: skip
    findings = [*map(_checked, checks), *_extras()]
    if as_json:
        print_json([asdict(f) for f in findings])
    else:
        for finding in findings:
            mend = "" if finding.ok else f"\n      {finding.mend}"
            click.echo(f"{_mark(finding)}  {finding.check:13}  {finding.found}{mend}")
    sys.exit(0 if all(f.ok or not f.needed for f in findings) else 1)


def _checked(check: Callable[[], Finding]) -> Finding:
    """Return what a check finds; a check that fails to run is a finding, too."""
    try:
        return check()
    except CollegiumError as exc:
        return Finding(check.__name__.strip("_"), False, str(exc), "mend this first")


def _mark(finding: Finding) -> str:
    if finding.ok:
        return click.style("ok  ", fg="green")
    return click.style("FAIL", fg="red") if finding.needed else "--  "


def _embedded() -> bool:
    """Whether the service runs the embedded pool; the default if the settings are invalid."""
    from collegium.settings import Settings, load_settings

    try:
        return load_settings().embedded
    except CollegiumError:
        return bool(Settings.model_fields["embedded"].default)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", sys.version_info >= (3, 11), version, "install Python 3.11 or newer")


def _memory() -> Finding:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    mend = "the embedded engine takes about 4 GiB, the service 1: use --no-embedded"
    return Finding("memory", total >= 6, f"{total:.1f} GiB", mend, needed=_embedded())


def _disk() -> Finding:
    from collegium.settings import load_settings

    folder = _existing(load_settings().cache_dir)
    free = shutil.disk_usage(folder).free / GIB
    return Finding("disk", free >= 1, f"{free:.1f} GiB free at {folder}", "free 1 GiB")


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _vector_unit() -> Finding:
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        flags = ""
    known = [name for name in ("avx512_bf16", "avx512f", "avx2") if name in flags]
    mend = "vLLM's CPU engine needs AVX2 or better on x86; register remote experts instead"
    found = ", ".join(known) or "no AVX2"
    return Finding("processor", bool(known), found, mend, needed=_embedded())


def _gpus() -> Finding:
    """NVIDIA's cards, their driver, what fits, and whether engines would use them."""
    from collegium.experts.placement.live import placer_here
    from collegium.experts.placement.nvml import driver, gpus
    from collegium.experts.placement.plan import largest_b
    from collegium.settings import load_settings

    found, mend = gpus(), EXTRAS["embedded-cuda"].command
    if not found and not DRIVER.exists():
        return Finding("gpus", True, "no NVIDIA GPU; engines run on the processor", needed=False)
    if not found:
        words = "NVIDIA's driver runs, but no whole GPU is seen (nvidia-ml-py is missing, "
        words += "CUDA_VISIBLE_DEVICES hides them, or they are divided by MIG)"
        return Finding("gpus", False, words, mend, needed=False)
    placer = placer_here(load_settings().engine_python)
    cards = ", ".join(f"{g.name} ({g.memory_gib:.0f} GiB, {g.free_gib:.0f} free)" for g in found)
    sizes = [card.usable_gib for card in placer.cards] if placer is not None else []
    if placer is None:
        return Finding("gpus", False, f"{cards}; vLLM is its CPU build", mend, needed=False)
    fits = f"fits {largest_b(sizes[:1]):.0f}B parameters in 16 bits on the first"
    fits += f", {largest_b(sizes):.0f}B on all" if len(sizes) > 1 else ""
    return Finding("gpus", True, f"{cards}; driver {driver()}; {fits}", needed=False)


def _settings() -> Finding:
    from collegium.settings import config_file, load_settings

    try:
        settings = load_settings()
    except CollegiumError as exc:
        return Finding("settings", False, str(exc), "see docs/settings.md")
    file = config_file()
    source = str(file) if file.is_file() else "no file"
    return Finding("settings", True, f"{source}; serves on {settings.host}:{settings.port}")


def _encoder() -> Finding:
    """Check the encoder and its packages."""
    from collegium.extras import require
    from collegium.settings import load_settings

    extra = EXTRAS["encoders"]
    try:
        settings = load_settings()
        if settings.encoder == "minilm":
            require(extra.name, "the encoder `minilm`")
    except CollegiumError as exc:
        return Finding("encoder", False, str(exc), "see docs/settings.md")
    chosen = "encoder" in settings.model_fields_set or not extra.missing()
    found = settings.encoder if chosen else f"{settings.encoder}, without the extra {extra.name}"
    return Finding("encoder", True, found)


def _extras() -> list[Finding]:
    """Report which optional parts are installed, and what the others lack.

    `embedded-cuda` replaces `embedded`, so it is only reported on a machine with a GPU.
    """
    found = []
    for extra in EXTRAS.values():
        if extra is EXTRAS["embedded-cuda"] and not DRIVER.exists():
            continue
        missing = extra.missing()
        words = f"not installed ({', '.join(missing)}): {extra.serves}" if missing else "installed"
        needed = _is_needed(extra.name)
        check = f"[{extra.name}]"
        or_else = "; or: collegium serve --no-embedded" if needed and extra is POOL else ""
        found.append(Finding(check, not missing, words, extra.command + or_else, needed=needed))
    return found


def _is_needed(extra: str) -> bool:
    """Whether the service, as it is set up, does not start without an extra."""
    from collegium.telemetry_variables import exports

    if extra == "otel":
        return exports("traces") or exports("metrics")
    return extra == "embedded" and _embedded()


def _adapters() -> Finding:
    from collegium.experts.specialists import ADAPTERS, SPECIALISTS

    missing = [n for n in SPECIALISTS if not (ADAPTERS / n / "adapter_model.safetensors").is_file()]
    found = f"{len(SPECIALISTS) - len(missing)} of {len(SPECIALISTS)} adapters"
    return Finding("specialists", not missing, found, f"missing: {', '.join(missing)}")


def _router() -> Finding:
    """The router of the folder or the package, or the version that serves in its place."""
    from collegium.router.artifact import folder_of, load
    from collegium.settings import load_settings

    try:
        settings = load_settings()
        fitted = load(folder_of(settings))
    except CollegiumError as exc:
        return Finding("router", False, str(exc), "train one: collegium router train --out DIR")
    found = f"{len(fitted.fingerprints)} experts, {fitted.card['made']}"
    where = "router_dir" if settings.router_dir is not None else "the package"
    if (version := asyncio.run(_serving_version())) is None:
        return Finding("router", True, f"{found}, from {where}")
    return Finding("router", True, f"{version} serves; after a rollback that of {where}: {found}")


async def _serving_version() -> str | None:
    """The version that was promoted for all of the traffic; None if the registry has none, or can't
    be read, which is a finding of its own.
    """
    from collegium.cli.service_client import open_database
    from collegium.registry.learning.router_versions import RouterVersions

    with suppress(CollegiumError):
        async with open_database() as database:
            active = await RouterVersions(database).list(active=True)
            return next((each.id for each in active if each.status == "serving"), None)
    return None


def _registry() -> Finding:
    from collegium.cli.service_client import open_registry

    async def count() -> int:
        async with open_registry() as registry:
            return len(await registry.list())

    try:
        return Finding("registry", True, f"{asyncio.run(count())} experts")
    except CollegiumError as exc:
        return Finding("registry", False, str(exc), "check the setting database_url")


def _replicas() -> Finding:
    """Whether several processes could share budgets, sessions and cached answers."""
    from collegium.settings import load_settings

    settings = load_settings()
    if settings.redis_url is not None:
        return Finding("replicas", True, "may share state in Redis")
    if settings.registry_url.startswith("sqlite"):
        return Finding("replicas", True, "one process, on SQLite")
    found = "one process: PostgreSQL without Redis; a second one refuses requests under a budget"
    return Finding("replicas", False, found, "set redis_url to run several", needed=False)


def _extensions() -> Finding:
    """Import everything that is registered; name each plugin that fails, and why."""
    from collegium.extensions import KINDS, PLURALS, distribution_of, extensions, is_ours

    try:
        found = extensions()
    except CollegiumError as exc:
        return Finding("extensions", False, str(exc), "see docs/guides/extend.md")
    faults, plugins = [f"{name}: {why}" for name, why in found.faults.items()], []
    for kind, name, entry in found:
        if not is_ours(entry):
            plugins.append(f"{kind}.{name} ({distribution_of(entry)})")
        try:
            found.load(kind, name, of=extension_types().get(kind))
        except CollegiumError as exc:
            faults.append(exc.whole)
    numbers = {kind: len(found.names(kind)) for kind in KINDS}
    counts = ", ".join(f"{n} {KINDS[k] if n == 1 else PLURALS[k]}" for k, n in numbers.items())
    if faults:
        mend = "mend or uninstall the distribution that is named; nothing else is affected"
        return Finding("extensions", False, "; ".join(faults), mend)
    return Finding("extensions", True, "; ".join([counts, *plugins]))


def extension_types() -> dict[str, type]:
    """Return what an extension must be, unless it is a function or class."""
    from collegium.experts.aggregation.catalogue import ModeKind
    from collegium.experts.marking.judge import JudgeMethod

    return {"mode": ModeKind, "judge": JudgeMethod}
