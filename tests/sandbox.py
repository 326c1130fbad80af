"""Run a program as a container of docker-compose.yml does, without an engine for containers.

A mount namespace makes every file system read-only but for a volume and memory; the program has
another user, no capabilities and no way to new ones. It needs root and util-linux.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from tests.repository import ROOT

VOLUME, SECRETS = "/mnt/volume", "/mnt/secrets"


def _has_namespaces() -> bool:
    """Whether this process may give a program a file system of its own."""
    if os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("setpriv") is None:
        return False
    command = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "mount",
        "-t",
        "tmpfs",
        "x",
        "/mnt",
    ]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


needs_namespaces = pytest.mark.skipif(
    not _has_namespaces(), reason="NOT TESTED: mount namespaces can't be made here"
)


def contained(
    command: list[str],
    volume: Path,
    secrets: Path | None = None,
    *,
    user: int = 10_001,
    env: Mapping[str, str],
    stdout: int | None = None,
) -> subprocess.Popen[bytes]:
    """Start a command that can write to the volume and to /tmp alone."""
    os.chown(volume, user, user)
    binds = {VOLUME: volume} | ({} if secrets is None else {SECRETS: secrets})
    lines = ["set -e", "mount -t tmpfs -o mode=0755 tmpfs /mnt"]
    for target, source in binds.items():
        lines += [f"mkdir {target}", f"mount --bind {shlex.quote(str(source))} {target}"]
    kept, back = _in_tmp()
    lines += [*_opened(), *kept, "mount -t tmpfs -o mode=1777 tmpfs /tmp", *back, *_read_only()]
    rights = f"--reuid {user} --regid {user} --clear-groups --no-new-privs"
    lines += [f"exec setpriv {rights} --bounding-set=-all --inh-caps=-all {shlex.join(command)}"]
    namespace = ["unshare", "--mount", "--propagation", "private", "sh", "-c", "\n".join(lines)]
    return subprocess.Popen(namespace, env=dict(env), cwd="/", stdout=stdout, stderr=stdout)


def _needed() -> tuple[Path, ...]:
    """Python and the repository."""
    return Path(sys.base_prefix), Path(sys.prefix).resolve(), ROOT


def _in_tmp() -> tuple[list[str], list[str]]:
    """Keep what is needed of /tmp before it becomes empty, and bring it back afterwards."""
    kept, back = [], []
    for number, path in enumerate(p for p in _needed() if p.is_relative_to("/tmp")):
        here, aside = shlex.quote(str(path)), f"/mnt/tmp{number}"
        kept.append(f"mkdir {aside}; mount --bind {here} {aside}")
        back.append(f"mkdir -p {here}; mount --bind {aside} {here}")
    return kept, back


def _opened() -> Iterable[str]:
    """Let the user reach Python and the repository, where a folder above them is closed."""
    for number, path in enumerate(_needed()):
        above = [p for p in reversed(path.parents) if not p.stat().st_mode & 0o001]
        if above:
            here, kept = shlex.quote(str(path)), f"/mnt/{number}"
            yield f"mkdir {kept}; mount --bind {here} {kept}"
            yield f"mount -t tmpfs -o mode=0755 tmpfs {shlex.quote(str(above[0]))}"
            yield f"mkdir -p {here}; mount --bind {kept} {here}"


def _read_only() -> Iterable[str]:
    """Each mount but memory and the volume; the kernel's own stay as they are."""
    keep = f"{VOLUME}|/tmp|/proc*|/sys*|/dev*"
    yield (
        "while read -r _ _ _ _ at _; do case $at in "
        f"{keep}) ;; *) mount -o remount,ro,bind $at 2>/dev/null || true ;; esac; "
        "done < /proc/self/mountinfo"
    )
