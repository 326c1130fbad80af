"""Starts scripted models (`scripted_model.py`) as servers of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.repository import ROOT
from tests.servers import free_port
from tests.service.upstreams import until

PROMPTS = "docs/examples/prompts.jsonl"
MODEL = Path(__file__).with_name("scripted_model.py")


@contextmanager
def scripted(applications: tuple[str, ...]) -> Iterator[int]:
    """A model that can do these applications' prompts, at the port that is yielded."""
    port = free_port()
    command = [sys.executable, str(MODEL), str(port), str(ROOT / PROMPTS), *applications]
    process = subprocess.Popen(command)
    try:
        until(lambda: _answers(port))
        yield port
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    """Whether the model is there."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/v1/models").status_code == 200
    except httpx.TransportError:
        return False
