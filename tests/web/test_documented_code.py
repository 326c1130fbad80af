"""The Python and the `curl` commands of the documentation run, page by page, as a reader runs them.

What talks to the service does so over HTTP, to the real application on fake experts.
"""

from __future__ import annotations

import asyncio
import inspect
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import pytest

from collegium.registry.expert import Expert
from tests.docs.blocks import Block, of_language
from tests.docs.readers import NAMES, prepare
from tests.web.conftest import Serve, Web
from tests.web.fakes import POOL
from tests.web.test_connections import LIMITS, listening

ADDRESS = re.compile(r"(?<=http://)(127\.0\.0\.1|localhost):8000|(?<=\s)localhost:8000")
RUN = [block for block in of_language("python") if block.why is None]
PAGES = sorted({block.page for block in RUN})
CURL = [b for b in of_language("sh") if re.search(r"^curl ", b.text, re.MULTILINE) and not b.why]
OTHER_COMMANDS = re.compile(r"^collegium .*\n?", re.MULTILINE)
"""Of a block with `curl`: tests/docker/test_compose.py has click parse them."""
NAMED = tuple(
    Expert(n, "openai", n, base_url=f"{POOL[0].base_url}") for n in ("labels", "gpt4", "dear")
)
"""Experts that the documentation names."""


@runtime_checkable
class Closing(Protocol):
    """A client or a socket that a page leaves open."""

    def close(self) -> object: ...


@pytest.fixture
async def listener(serve: Serve) -> AsyncIterator[tuple[Web, str]]:
    """A service that keeps what it is asked, and its address."""
    async with serve(experts=NAMED, record="full") as web, listening(web.app, LIMITS) as port:
        yield web, f"127.0.0.1:{port}"


@pytest.mark.parametrize("page", PAGES)
async def test_the_python_of_a_page_runs(
    listener: tuple[Web, str], page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its blocks one after the other, with what the page says that the reader has."""
    web, address = listener
    (tmp_path / "reader").mkdir()
    monkeypatch.chdir(tmp_path / "reader")
    for page_of, prepared in NAMES.items():
        assert page_of in PAGES, f"{page_of} has no Python any more: drop {prepared}"
    namespace: dict[str, Any] = {"__name__": "reader", **prepare(page)}
    tests = []
    for block in (block for block in RUN if block.page == page):
        code = compile(ADDRESS.sub(address, block.text), str(block), "exec")
        known = set(namespace)
        await asyncio.to_thread(exec, code, namespace)
        for name in set(namespace) - known:
            if name.startswith("test_") and inspect.iscoroutinefunction(namespace[name]):
                tests.append(await namespace[name](web))
    for left in namespace.values():
        if isinstance(left, Closing) and not inspect.isclass(left):
            left.close()
    assert len(tests) == (page == "CONTRIBUTING.md")


@pytest.mark.parametrize("block", CURL, ids=str)
async def test_a_request_by_curl_is_answered(listener: tuple[Web, str], block: Block) -> None:
    """Every command of the block, with an id that there is in the place of the example's."""
    web, address = listener
    await web.parts.registry.update("general", output_price=0.0)  # limits leave room for it
    asked = await web.chat("sql 1", metadata={"application": "support-chat"}, user="chat-42")
    decision = asked.json()["collegium"]["decision"]["id"]
    await web.parts.background.finish()
    script = OTHER_COMMANDS.sub("", ADDRESS.sub(address, block.text)).replace("dec_0f3a…", decision)
    bash = shutil.which("bash")
    assert bash is not None
    script = f'set -e -o pipefail\ncurl() {{ command curl -sS --fail-with-body "$@"; }}\n{script}'
    done = await asyncio.to_thread(
        subprocess.run, [bash, "-c", script], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
