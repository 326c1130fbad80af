"""A request's body is freed when it is answered, not when Python's collector comes by."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from collegium.errors import ExpertUnavailable
from collegium.web.serving.prepare import Prepared
from tests.web.conftest import Web


@pytest.fixture
def _without_collector() -> Any:
    """Only the counts of references free anything."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_without_collector")
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"stream": True},
        {"model": "sql"},
        {"model": "refuses"},
        {"routing": {"k": 2, "aggregate": "vote"}},
    ],
    ids=lambda fields: "-".join(map(str, fields.values())) or "usual",
)
async def test_nothing_of_a_request_is_left(web: Web, fields: dict[str, Any]) -> None:
    """Bodies may have 32 MiB: 12 connections that sent large ones left 200 MB of them."""
    others = requests()  # what other tests of this process have left
    if fields.get("model") == "refuses":
        fields = {"model": "sql"}
        web.experts["sql"].refuses = ExpertUnavailable("sql", "is down")
    answer = await web.chat(**fields)
    assert answer.status_code in (200, 503)
    await web.parts.background.finish()
    assert [left for left in requests() if not any(left is other for other in others)] == []


def requests() -> list[Prepared]:
    """All that there are in this process; `isinstance` would ask objects of PyTorch that warn."""
    return [each for each in gc.get_objects() if type(each) is Prepared]
