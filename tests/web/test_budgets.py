"""Limits of keys, teams and applications: set by the operator, held by the service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from collegium.errors import ExpertUnavailable
from collegium.registry.decisions.log import OutcomeRecord
from collegium.router.costs import DEFAULT_MS_PER_TOKEN
from collegium.web.serving.budget_counts import BudgetCounts
from collegium.web.serving.call_record import NOTICED_S
from tests.web.access import bearer
from tests.web.callers import calling, until_idle
from tests.web.conftest import Serve, Web, until
from tests.web.fakes import ADDRESS, SQL
from tests.web.test_owners import ADMIN, DESK, KEYS, SHOP

PATH = "/v1/budgets"
TOKENS = 100
USAGE = {"prompt_tokens": 7, "completion_tokens": TOKENS, "total_tokens": 7 + TOKENS}
ANSWER = 207e-6
"""What one of sql's answers costs."""
MOST = 2.2e-4
"""What it may cost at most, and a little more."""
DEAR = replace(SQL, name="dear", base_url=f"{ADDRESS}/dear", input_price=1.0, output_price=50.0)


@pytest.fixture
async def web(serve: Serve) -> AsyncIterator[Web]:
    """A service with an operator and two callers."""
    async with serve(experts=[DEAR], **KEYS) as web:
        for name in ("sql", "dear"):
            web.experts[name].usage = USAGE
        yield web


async def limit(web: Web, metric: str, amount: float, window: str = "day", **fields: Any) -> Any:
    """Set a limit of the shop's key; the answer."""
    body = {"scope": "key", "name": "shop", "metric": metric, "amount": amount, "window": window}
    answer = await web.http.put(PATH, json=body | fields, headers=bearer(ADMIN))
    assert answer.status_code == 200, answer.text
    return answer.json()


async def limits(web: Web, key: str = ADMIN) -> dict[str, Any]:
    """All limits by metric, as a key sees them, when all answers are settled."""
    await web.parts.background.finish()
    found = (await web.http.get(PATH, headers=bearer(key))).json()["data"]
    return {each["metric"]: each for each in found}


async def ask(web: Web, key: str = SHOP, **fields: Any) -> httpx.Response:
    """One of sql's answers."""
    body = {"model": "sql", "max_tokens": TOKENS, "messages": [{"role": "user", "content": "sql"}]}
    sent = {k: v for k, v in (body | fields).items() if v is not None}
    return await web.http.post("/v1/chat/completions", json=sent, headers=bearer(key))


async def test_a_key_spends_its_budget_and_no_more(web: Web) -> None:
    """What was spent before counts; others go on; the refusal says what is left and until when."""
    assert (await ask(web)).status_code == 200
    await web.parts.background.finish()
    shown = await limit(web, "usd", 2 * ANSWER + MOST / 4)
    assert shown["used"] == pytest.approx(ANSWER)
    answer = await ask(web)
    assert answer.status_code == 200
    assert float(answer.headers["x-collegium-budget-remaining-usd"]) < MOST / 4
    await web.parts.background.finish()
    refused = await ask(web)
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (402, "insufficient_quota")
    assert error["type"] == "insufficient_quota"
    assert "The key 'shop' may use" in error["message"]
    assert int(refused.headers["retry-after"]) <= 86_400
    assert (await limits(web))["usd"]["used"] == pytest.approx(2 * ANSWER)
    assert (await ask(web, DESK)).status_code == 200
    assert (await ask(web, ADMIN)).status_code == 200


async def test_a_request_without_max_tokens_gets_what_the_budget_affords(web: Web) -> None:
    """And is told so; the upstream is sent it, whole and streamed."""
    await limit(web, "usd", 1.5 * MOST)
    answer = await ask(web, max_tokens=None)
    sent = web.experts["sql"].asked[-1].body
    assert answer.json()["collegium"]["outcome"]["adjusted"] == [f"max_tokens={sent['max_tokens']}"]
    assert TOKENS < sent["max_tokens"] < 1.5 * TOKENS + 15
    await web.parts.background.finish()
    await limit(web, "usd", ANSWER + MOST)
    streamed = await ask(web, max_tokens=5000, stream=True)
    sent = web.experts["sql"].asked[-1].body
    assert streamed.headers["x-collegium-adjusted"] == f"max_tokens={sent['max_tokens']}"
    assert 64 <= sent["max_tokens"] < 1.2 * TOKENS


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"max_tokens": 2000, "max_completion_tokens": 1}, 200),
        ({"max_tokens": 1, "max_completion_tokens": 2000}, 200),
        ({"max_tokens": None, "max_output_tokens": 90_000}, 200),
        ({"max_tokens": None, "max_output_tokens": "many"}, 200),
        ({"best_of": 5}, 402),
        ({"max_tokens": 20, "best_of": 5}, 200),
    ],
    ids=str,
)
async def test_upstreams_may_write_no_more_than_is_reserved(
    web: Web, fields: dict[str, Any], status: int
) -> None:
    """Upstreams differ in the names of limits that they read, and bill all choices."""
    await limit(web, "usd", 1.5 * MOST)
    answer = await ask(web, **fields)
    assert answer.status_code == status, answer.text
    for call in web.experts["sql"].asked:
        given = [call.body.get(name, 0) for name in ("max_tokens", "max_completion_tokens")]
        assert 0 < max(given) * call.body.get("best_of", 1) <= 1.65 * TOKENS


async def test_a_cap_of_tokens_holds_under_every_name(web: Web) -> None:
    """Of chats, whose servers ignore the name of the Responses API."""
    await limit(web, "max_tokens", 10, "")
    several: dict[str, Any] = {"max_tokens": 5, "max_completion_tokens": 500}
    for fields in ({"max_tokens": None, "max_output_tokens": 500}, several):
        answer = await ask(web, **fields)
        assert answer.status_code in (200, 400), answer.text
    for call in web.experts["sql"].asked:
        given = [call.body.get(name, 0) for name in ("max_tokens", "max_completion_tokens")]
        assert 0 < max(given) <= 10


async def test_rates_are_told_and_kept(web: Web) -> None:
    """In OpenAI's headers; a refused request counts for nothing."""
    await limit(web, "requests", 2, "hour")
    await limit(web, "tokens", 1000, "hour")
    answer = await ask(web)
    assert answer.headers["x-ratelimit-limit-requests"] == "2"
    assert answer.headers["x-ratelimit-remaining-requests"] == "1"
    assert answer.headers["x-ratelimit-reset-requests"].endswith("s")
    assert int(answer.headers["x-ratelimit-remaining-tokens"]) < 1000 - TOKENS
    assert (await ask(web)).status_code == 200
    for _ in range(2):
        refused = await ask(web)
        assert (refused.status_code, refused.json()["error"]["code"]) == (
            429,
            "rate_limit_exceeded",
        )
        assert refused.headers["x-ratelimit-remaining-requests"] == "0"
        assert 0 < int(refused.headers["retry-after"]) <= 3600
    found = await limits(web)
    assert (found["requests"]["used"], found["tokens"]["used"]) == (2, 2 * (TOKENS + 7))


async def test_a_misspelt_parameter_removes_nothing(web: Web) -> None:
    """Without it, all limits of the key would be removed instead of one."""
    await limit(web, "usd", 1.0)
    await limit(web, "requests", 5)
    query = {"scope": "key", "name": "shop", "metrc": "usd"}
    refused = await web.http.delete(PATH, params=query, headers=bearer(ADMIN))
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "metrc")
    assert set(await limits(web)) == {"usd", "requests"}


async def test_requests_in_flight_hold_their_share(web: Web) -> None:
    """Who comes meanwhile is told to come again soon; who leaves gives back what it held."""
    await limit(web, "parallel", 1, "")
    await limit(web, "usd", 1.5 * MOST)
    script = web.experts["sql"]
    script.waits = True
    answering = asyncio.create_task(ask(web))
    await until(lambda: script.asked)
    for metric in ("parallel", "usd"):
        refused = await ask(web)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        query = {"scope": "key", "name": "shop", "metric": metric}
        await web.http.delete(PATH, params=query, headers=bearer(ADMIN))
    script.go.set()
    assert (await answering).status_code == 200
    await limit(web, "usd", 1.0)
    assert (await limits(web))["usd"]["reserved"] == 0.0


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_who_leaves_before_the_answer_pays_for_what_may_be_written(
    web: Web, stream: bool
) -> None:
    """A provider writes a whole answer to its end and bills it; a stream until it notices."""
    await limit(web, "usd", 1.0)
    script = web.experts["sql"]
    script.waits = True
    body: dict[str, Any] = {"model": "sql", "max_tokens": TOKENS, "n": 2, "stream": stream}
    body["messages"] = [{"role": "user", "content": "sql"}]
    async with calling(web, body, key=SHOP) as caller:
        await until(lambda: script.asked)
        caller.left.set()
    await until_idle(web)
    used = (await limits(web))["usd"]
    assert used["reserved"] == 0.0
    written = 2 * TOKENS * 2e-6
    few = 2e-6 / DEFAULT_MS_PER_TOKEN * 1000 * NOTICED_S
    least, most = (few, 4 * few) if stream else (written, written + 3e-5)
    assert least <= used["used"] <= most < 1.1 * written


LONG = "word " * 2000


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("chat/completions", {"documents": [{"text": LONG}]}),
        ("chat/completions", {"chat_template": LONG}),
        ("chat/completions", {"messages": [{"role": "user", "content": "x", "name": LONG}]}),
        (
            "chat/completions",
            {
                "messages": [
                    {"role": "assistant", "content": "x", "reasoning_content": LONG},
                    {"role": "user", "content": "x"},
                ]
            },
        ),
        ("completions", {"prompt": "x", "suffix": LONG}),
        ("embeddings", {"input": "x", "messages": [{"role": "user", "content": LONG}]}),
        ("rerank", {"query": "x", "documents": ["x"], "instruction": LONG}),
    ],
)
async def test_whatever_an_expert_may_read_is_reserved(
    web: Web, path: str, fields: dict[str, Any]
) -> None:
    """Also what is passed on as it is, in fields that only some servers know."""
    can = {"capabilities": dict.fromkeys(("completions", "embeddings", "rerank"), True)}
    changed = await web.http.patch("/v1/experts/sql", json=can, headers=bearer(ADMIN))
    assert changed.status_code == 200, changed.text
    await limit(web, "usd", 1500e-6)
    body: dict[str, Any] = {"model": "sql"}
    if "rerank" not in path and "embeddings" not in path:
        body |= {"max_tokens": 64}
    if path == "chat/completions":
        body |= {"messages": [{"role": "user", "content": "x"}]}
    refused = await web.http.post(f"/v1/{path}", json=body | fields, headers=bearer(SHOP))
    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "insufficient_quota")
    assert web.experts["sql"].asked == []


async def test_caps_refuse_what_no_waiting_makes_possible(web: Web) -> None:
    """`n` and panels; a larger `max_tokens` is lowered."""
    await limit(web, "n", 2, "")
    await limit(web, "panel", 1, "")
    await limit(web, "max_tokens", 70, "")
    refused = await ask(web, n=3)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "n")
    refused = await ask(web, model="collegium/vote")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "routing.k")
    answer = await ask(web)
    assert answer.json()["collegium"]["outcome"]["adjusted"] == ["max_tokens=70"]
    assert web.experts["sql"].asked[-1].body["max_tokens"] == 70


async def test_a_failed_attempt_and_the_next_are_both_paid_for(web: Web) -> None:
    """The next one reserves for itself, and what it took is the log's sum."""
    await limit(web, "usd", 0.1)
    web.experts["sql"].refuses = ExpertUnavailable("sql", "it is down")
    answer = await ask(web, model="sql", routing={"failover": True})
    assert answer.status_code == 200
    outcome = answer.json()["collegium"]["outcome"]
    used = (await limits(web))["usd"]
    assert used["reserved"] == 0.0
    assert used["used"] == pytest.approx(outcome["cost_usd"])


async def test_where_the_next_attempt_is_too_dear_the_first_error_is_told(web: Web) -> None:
    """Not the budget's, which had nothing to do with it."""
    await limit(web, "usd", MOST)
    web.experts["sql"].refuses = ExpertUnavailable("sql", "it is down")
    for name in ("general", "lists"):
        await web.http.patch(
            f"/v1/experts/{name}", json={"output_price": 90.0}, headers=bearer(ADMIN)
        )
    answer = await ask(web, routing={"failover": True})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "expert_unavailable")
    assert (await limits(web))["usd"]["used"] == 0.0


async def test_panels_pay_for_all_their_calls(web: Web) -> None:
    """Nothing stays reserved; the sum is the log's."""
    await limit(web, "usd", 1.0)
    answer = await ask(web, model="collegium/moa", max_tokens=64)
    assert answer.status_code == 200
    used = (await limits(web))["usd"]
    assert used["used"] == pytest.approx(answer.json()["collegium"]["outcome"]["cost_usd"])
    assert used["reserved"] == 0.0


async def test_as_money_runs_low_a_cheaper_expert_answers(web: Web) -> None:
    """Before anybody is refused, and the decision says why."""
    before = await ask(web, model="auto", max_tokens=None)
    assert before.json()["model"] != "lists"
    await web.parts.background.finish()
    spent = before.json()["collegium"]["outcome"]["cost_usd"]
    await limit(web, "usd", spent + 1e-6)
    answer = await ask(web, model="auto", max_tokens=None)
    assert answer.status_code == 200
    assert answer.json()["model"] == "lists"


async def test_an_expert_of_unknown_price_does_not_answer_under_a_budget(web: Web) -> None:
    """It is not free."""
    change = {"input_price": None, "output_price": None}
    await web.http.patch("/v1/experts/sql", json=change, headers=bearer(ADMIN))
    await limit(web, "usd", 1.0)
    refused = await ask(web)
    assert refused.status_code == 422
    assert "the price of 'sql' is unknown" in refused.json()["error"]["message"]


async def test_each_key_without_a_limit_of_its_own_has_the_common_one(web: Web) -> None:
    """Counted for each by itself."""
    await limit(web, "requests", 1, "day", name="*")
    await limit(web, "requests", 3, "day")
    assert [(await ask(web, DESK)).status_code for _ in range(2)] == [200, 429]
    assert [(await ask(web, SHOP)).status_code for _ in range(4)] == [200, 200, 200, 429]


async def test_a_name_that_nothing_has_is_told(web: Web) -> None:
    """An application of a key is found under the key's name, not under its own alone."""
    await ask(web, metadata={"application": "tickets"})
    await web.http.post("/v1/teams", json={"name": "search"}, headers=bearer(ADMIN))
    known = {
        ("key", "shop"): True,
        ("key", "shpo"): False,
        ("key", "*"): True,
        ("team", "search"): True,
        ("team", "saerch"): False,
        ("application", "shop:tickets"): True,
        ("application", "tickets"): False,
    }
    for (scope, name), is_known in known.items():
        shown = await limit(web, "usd", 1.0, scope=scope, name=name)
        assert shown["known"] is is_known, (scope, name)


async def test_a_key_sees_its_own_limits_alone(web: Web) -> None:
    """And sets none."""
    await limit(web, "requests", 1, "day")
    await limit(web, "tokens", 1, "day", name="desk")
    assert (await limits(web, SHOP)).keys() == {"requests"}
    assert (await limits(web)).keys() == {"requests", "tokens"}
    body = {"scope": "key", "name": "shop", "metric": "usd", "amount": 1, "window": "day"}
    assert (await web.http.put(PATH, json=body, headers=bearer(SHOP))).status_code == 403


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"window": "fortnight"}, "none of minute, hour, day"),
        ({"metric": "parallel"}, "takes no window"),
        ({"amount": 1e9}, "9,000,000"),
        ({"amount": -1}, "must be at least 0"),
        ({"amount": True}, "amount"),
        ({"name": "a\0b"}, "printable"),
        ({"amount": 1e308}, "must be at most"),
        ({"scope": "planet"}, "scope"),
    ],
)
async def test_a_limit_that_makes_no_sense_is_refused(
    web: Web, fields: dict[str, Any], words: str
) -> None:
    """In words that say how to mend it."""
    body = {"scope": "key", "name": "shop", "metric": "usd", "amount": 1, "window": "day"} | fields
    answer = await web.http.put(PATH, json=body, headers=bearer(ADMIN))
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]


async def test_what_is_never_asked_is_given_back(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decision that was written and then dropped costs nothing after a while."""
    await limit(web, "usd", 1.0)
    counts: BudgetCounts = web.parts.budgets.counts
    hold = None

    async def dropped(decided: Any, began: Any = None) -> Any:
        nonlocal hold
        hold = decided.hold
        raise ConnectionError
        yield

    with monkeypatch.context() as patch:
        patch.setattr(web.parts.pipeline, "run", dropped)
        assert (await ask(web)).status_code == 500
    assert hold is not None
    await counts.sweep()
    assert (await limits(web))["usd"]["reserved"] > 0
    hold.at = hold.at.replace(year=2020)
    await counts.sweep()
    used = (await limits(web))["usd"]
    assert (used["used"], used["reserved"]) == (0.0, 0.0)


async def test_a_settlement_that_is_lost_is_made_up_for(web: Web) -> None:
    """A sweep settles by the log what is in flight no more."""
    await limit(web, "usd", 1.0)
    script = web.experts["sql"]
    script.waits = True
    answering = asyncio.create_task(ask(web))
    await until(lambda: script.asked)
    counts = web.parts.budgets.counts
    ((name, _),) = [*counts._live.items()]
    counts._live.clear()  # as if another process had begun it, and died
    await counts.sweep()
    shown = (await web.parts.log.get(name)).outcome
    assert isinstance(shown, OutcomeRecord)
    assert (shown.status, shown.estimated) == ("error", True)
    assert shown.cost_usd == pytest.approx(
        (await web.http.get(PATH, headers=bearer(ADMIN))).json()["data"][0]["used"]
    )
    script.go.set()
    assert (await answering).status_code == 200  # it was alive: its own outcome counts
    assert (await limits(web))["usd"]["used"] == pytest.approx(ANSWER)
