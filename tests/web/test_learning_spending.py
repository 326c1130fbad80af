"""What a learning run has spent, apart from what it has only reserved."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from collegium.cli import learn_command
from collegium.router.decision import Query
from collegium.web.learning.costs import VERDICT_TOKENS, judging_usd
from tests.web.conftest import Serve, until
from tests.web.fakes import GENERAL
from tests.web.test_learning import RUNS, proposed, questions, speak


async def test_what_is_reserved_is_told_apart_from_what_is_spent(serve: Serve) -> None:
    """The reservation outlives a crash as spent money; it is not shown when the run has ended."""
    async with serve(encoder="static") as web:
        speak(web)
        web.experts["general"].waits = True
        run = await proposed(web, questions(24), race=False, budget_usd=1.0)
        assert (run["spent_usd"], run["reserved_usd"]) == (0, 0)
        await web.http.post(f"{RUNS}/{run['id']}/start")

        async def reserved() -> bool:
            return bool((await web.http.get(f"{RUNS}/{run['id']}")).json()["reserved_usd"])

        await until(reserved)
        now = (await web.http.get(f"{RUNS}/{run['id']}")).json()
        assert 0 <= now["spent_usd"] - now["reserved_usd"] <= now["estimate"]["most_usd"]
        assert "reserved_usd" not in now["estimate"]
        await web.http.post(f"{RUNS}/{run['id']}/cancel")
        over = (await web.http.get(f"{RUNS}/{run['id']}")).json()
        assert (over["status"], over["reserved_usd"]) == ("cancelled", 0)
        web.experts.let_go()


async def test_the_most_that_a_run_costs_counts_long_verdicts(serve: Serve) -> None:
    """A judge that thinks before its word is paid for that."""
    async with serve(encoder="static") as web:
        spec: dict[str, Any] = {"experts": ["sql", "lists"], "race": False}
        alone = (await proposed(web, questions(24), **spec))["estimate"]["most_usd"]
        judged = (await proposed(web, questions(24), **spec, judge="general"))["estimate"]
        verdict = judging_usd(GENERAL, Query("", prompt_tokens=1), 0, VERDICT_TOKENS)
        assert verdict is not None
        assert judged["most_usd"] - alone > 24 * verdict


class Bar:
    """A progress bar that remembers what it showed."""

    shown: ClassVar[list[str]] = []
    n = 0

    def __init__(self, **_: Any) -> None:
        self.shown.clear()

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def set_description(self, *_: Any, **__: Any) -> None:
        pass

    def set_postfix_str(self, text: str, **_: Any) -> None:
        self.shown.append(text)

    def refresh(self) -> None:
        pass


class Service:
    """A service whose run has spent five cents, and reserved as much again."""

    async def call(self, method: str, path: str) -> Any:
        run = {"id": "lrn_1", "planned": 9, "answered": 3, "detail": "", "status": "finished"}
        return run | {"spent_usd": 0.1, "reserved_usd": 0.05}


async def test_the_bar_shows_what_is_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not what the answers in flight may cost."""
    monkeypatch.setattr("tqdm.tqdm", Bar)
    await learn_command._with_bar(Service(), {"id": "lrn_1", "planned": 9})  # type: ignore[arg-type]
    assert Bar.shown == ["$0.0500"]
