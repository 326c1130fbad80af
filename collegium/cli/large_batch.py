"""What `collegium batch large` does, with a bar that shows how far it is."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from contextlib import redirect_stdout
from itertools import chain
from typing import Any


def answered(
    source: str,
    folder: str,
    ray: str,
    service: str | None,
    *,
    tasks: int,
    at_once: int,
    range_bytes: int,
    shard_lines: int,
) -> dict[str, int]:
    """Plan and answer what is left of a job; return how many lines were done in this run."""
    from collegium.extras import require
    from collegium.settings import load_settings
    from collegium.web.batch.large.asking import Service
    from collegium.web.batch.large.job import opened
    from collegium.web.batch.large.storage import Storage

    require("ray", "`collegium batch large`")
    settings = load_settings()
    key = settings.api_key
    asked = Service(
        service or f"http://{settings.host}:{settings.port}",
        None if key is None else key.get_secret_value(),
        at_once,
    )
    place = Storage(folder)
    job = opened(Storage(source), place, range_bytes=range_bytes, shard_lines=shard_lines)
    from collegium.web.batch.large import run

    with redirect_stdout(sys.stderr):  # Ray prints there that a node was lost, beside our JSON
        run.connect(ray)
        plan = run.plan_all(job, place, asked, tasks=tasks)
        return _counted(chain(plan, run.answer_all(job, place, asked, tasks=tasks)))


def _counted(pieces: Iterable[dict[str, Any]]) -> dict[str, int]:
    from tqdm import tqdm

    counts = Counter({"planned": 0, "answered": 0, "failed": 0})
    with tqdm(desc="planning", unit="line") as bar:
        for piece in pieces:
            counts.update({name: n or 0 for name, n in piece.items()})
            bar.set_description("answering" if piece.get("answered") is not None else "planning")
            bar.update((piece.get("planned") or 0) + (piece.get("answered") or 0))
    return dict(counts)
