"""What an answer cost is one number in the header, the labels, the log, the metrics and a job."""

from __future__ import annotations

from typing import Any

import pytest

from collegium.experts.clients.counting import prompt_tokens
from collegium.experts.clients.events import Text
from collegium.experts.clients.reply import Reply
from collegium.experts.clients.tokenizing import Tokenizers
from collegium.experts.clients.usage import Tokens
from collegium.registry.expert import Expert
from collegium.web.serving.call_record import said_by
from collegium.web.serving.outcome import Outcome
from tests.web.bulk import done, line
from tests.web.callers import calling
from tests.web.conftest import Web, until
from tests.web.fakes import delta
from tests.web.panels import TOOLS, ask
from tests.web.reading import chunks
from tests.web.test_hanging_up import outcomes

COST, FORECAST = "x-collegium-cost-usd", "x-collegium-cost-forecast-usd"
PRICES = {"cached_input": 0.1, "cache_write": 1.25, "reasoning": 3.0, "request": 0.001}
USAGE = {
    "prompt_tokens": 1000,
    "completion_tokens": 300,
    "total_tokens": 1300,
    "prompt_tokens_details": {"cached_tokens": 600, "cache_write_tokens": 200},
    "completion_tokens_details": {"reasoning_tokens": 100},
}
USD = 0.00221
"""200 at $1, 600 at $0.10, 200 at $1.25, 200 at $2, 100 at $3, and $0.001 for the request."""
QUESTION = {"model": "sql", "messages": [{"role": "user", "content": "sql 1"}]}


@pytest.fixture
async def priced(web: Web) -> Web:
    """A service whose expert for `sql` has a price for everything, and is asked for all of it."""
    changed = await web.http.patch("/v1/experts/sql", json={"prices": PRICES})
    assert changed.json()["prices"] == PRICES
    web.experts["sql"].usage = USAGE
    return web


def told(outcome: Any) -> tuple[int, ...]:
    names = ("prompt", "completion", "cached", "cache_write", "reasoning")
    return tuple(outcome[f"{name}_tokens"] for name in names)


def of_sql(metrics: dict[str, float], name: str, kind: str = "") -> float:
    labels = f'{{expert="sql",{kind}}}' if kind else '{expert="sql"}'
    return metrics.get(f"collegium_{name}_total{labels}", 0.0)


async def test_a_whole_answers_cost_is_the_same_everywhere(priced: Web) -> None:
    """To the last digit; and so are its tokens."""
    response = await priced.chat("sql 1", model="sql")
    labels = response.json()["collegium"]
    outcome = labels["outcome"]
    kept = await priced.outcome(labels["decision"]["id"])
    metrics = await priced.metrics()
    assert float(response.headers[COST]) == outcome["cost_usd"] == kept["cost_usd"] == USD
    assert FORECAST not in response.headers
    assert of_sql(metrics, "cost_usd") == USD
    assert told(outcome) == told(kept) == (1000, 300, 600, 200, 100)
    assert (outcome["estimated"], outcome["attempts_usd"]) == (False, None)
    assert of_sql(metrics, "tokens_of_kind", 'kind="cached"') == 600
    assert of_sql(metrics, "tokens_of_kind", 'kind="cache_write"') == 200
    assert of_sql(metrics, "tokens_of_kind", 'kind="reasoning"') == 100
    assert of_sql(metrics, "estimated_calls") == 0


async def test_a_streams_header_is_a_forecast_and_its_end_says_what_it_was(priced: Web) -> None:
    """The header is sent before anybody knows."""
    response = await priced.chat("sql 1", model="sql", stream=True)
    first, *_, last = chunks(response.text)
    forecast = first["collegium"]["decision"]["forecasts"][0]["cost_usd"]
    assert COST not in response.headers
    assert float(response.headers[FORECAST]) == forecast != USD
    assert last["collegium"]["outcome"]["cost_usd"] == USD
    assert (await priced.outcome(first["collegium"]["decision"]["id"]))["cost_usd"] == USD


async def test_a_service_tier_is_billed_as_the_upstream_says(web: Web) -> None:
    """Who asks for one may get another."""
    tiers = {"input_flex": 0.5, "output_flex": 1.0}
    await web.http.patch("/v1/experts/sql", json={"prices": tiers})
    web.experts["sql"].chunks = [
        {"service_tier": "flex", **delta({"role": "assistant", "content": "hello"}, "stop")},
        {"choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 10}},
    ]
    last = chunks((await web.chat("sql 1", model="sql", stream=True)).text)[-1]
    assert last["collegium"]["outcome"]["cost_usd"] == 0.00006


async def test_the_forecast_is_of_the_tier_that_is_asked_for(web: Web) -> None:
    """A limit on cost holds for a dear one."""
    await web.http.patch("/v1/experts/sql", json={"prices": {"output_priority": 200.0}})
    limit = {"model": "sql", "max_tokens": 100, "routing": {"max_cost_usd": 0.001}}
    assert (await web.chat("sql 1", **limit)).status_code == 200
    refused = await web.chat("sql 1", service_tier="priority", **limit)
    assert refused.json()["error"]["code"] == "no_feasible_expert"
    await web.http.patch("/v1/experts/sql", json={"prices": None})
    refused = await web.chat("sql 1", service_tier="priority", **limit)
    assert "max_cost_usd: unknown" in refused.json()["error"]["message"]
    assert (await web.chat("sql 1", service_tier="flex", **limit)).status_code == 200


async def test_a_dearer_tier_without_prices_costs_an_unknown_amount(web: Web) -> None:
    """The usual price would be too low."""
    web.experts["sql"].chunks = [
        {"service_tier": "priority", **delta({"role": "assistant", "content": "hello"}, "stop")},
        {"choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 10}},
    ]
    last = chunks((await web.chat("sql 1", model="sql", stream=True)).text)[-1]
    assert last["collegium"]["outcome"]["cost_usd"] is None


async def test_a_panels_cost_is_that_of_its_calls(priced: Web) -> None:
    """Also of each kind of token, in the usage as well."""
    body = (await ask(priced, "vote", k=3)).json()
    outcome, calls = body["collegium"]["outcome"], body["collegium"]["panel"]["calls"]
    kept = await priced.outcome(body["collegium"]["decision"]["id"])
    (own,) = (call for call in calls if call["expert"] == "sql")
    assert own["cost_usd"] == USD
    assert outcome["cost_usd"] == pytest.approx(sum(call["cost_usd"] for call in calls), abs=1e-15)
    assert outcome["cost_usd"] == kept["cost_usd"]
    sums = tuple(map(sum, zip(*map(told, calls), strict=True)))
    assert told(outcome) == told(kept) == sums
    assert body["usage"]["prompt_tokens_details"] == {
        "cached_tokens": 600,
        "cache_write_tokens": 200,
    }
    assert body["usage"]["completion_tokens_details"] == {"reasoning_tokens": 100}


async def test_a_job_is_billed_the_same(priced: Web) -> None:
    """The sum of its lines, in the job, the log and the metrics."""
    lines = [line(str(n), f"sql {n}", "sql") for n in range(3)]
    batch, answered = await done(priced, lines, routing={"max_cost_usd": 1.0})
    costs = [r["body"]["collegium"]["outcome"]["cost_usd"] for r in answered.values()]
    assert costs == [USD] * 3
    assert batch["money"]["spent_usd"] == pytest.approx(3 * USD, abs=1e-12)
    assert of_sql(await priced.metrics(), "cost_usd") == pytest.approx(3 * USD, abs=1e-12)


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        {"prompt_tokens": 7, "completion_tokens": 0},
        {"prompt_tokens": "seven"},
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_what_the_upstream_does_not_tell_is_counted_and_marked(
    web: Web, usage: Any, stream: bool
) -> None:
    """An answer with text has tokens, whatever is said of it."""
    web.experts["sql"].usage = usage
    web.experts["sql"].says = "There are seven rows in the table."
    response = await web.chat("sql 1", model="sql", stream=stream)
    first = chunks(response.text)[0] if stream else response.json()
    kept = await web.outcome(first["collegium"]["decision"]["id"])
    assert kept["estimated"] is True
    assert kept["prompt_tokens"] > 0
    assert 7 <= kept["completion_tokens"] <= 12
    assert kept["cost_usd"] > 0
    assert of_sql(await web.metrics(), "estimated_calls") == 1


async def test_a_stream_of_large_pieces_is_counted_by_its_text(web: Web) -> None:
    """Some upstreams send whole sentences: a piece is not a token."""
    web.experts["sql"].chunks = [
        delta({"role": "assistant", "content": "one two three four " * 50}),
        delta({}, "stop"),
    ]
    last = chunks((await web.chat("sql 1", model="sql", stream=True)).text)[-1]
    assert last["collegium"]["outcome"]["completion_tokens"] >= 200


async def test_a_stream_has_no_fewer_tokens_than_pieces_until_a_tokenizer_is_loaded() -> None:
    """Of bytes alone, twenty letters with spaces seem to be eleven tokens."""
    reply = Reply(iter(()))  # type: ignore[arg-type]
    for _ in range(20):
        reply._note(Text("a "))
    expert, tokenizers = Expert("gpt", "openai", "gpt-4o"), Tokenizers()
    assert tokenizers.count(reply.text) < 15
    assert said_by(reply, expert, Tokenizers()) == 20
    tokenizers.load()
    assert said_by(reply, expert, tokenizers) == 20
    reply._note(Text("many words " * 50))  # a piece that is not a token
    assert said_by(reply, expert, Tokenizers()) > 100


async def test_a_cancelled_stream_is_charged_for_what_passed(web: Web) -> None:
    """The prompt, what was said until then, and as much for what is in flight."""
    script = web.experts["sql"]
    script.pauses = True
    async with calling(web, {**QUESTION, "stream": True}) as caller:
        await until(lambda: "hello" in caller.text)
        caller.left.set()
    (kept,) = await outcomes(web)
    assert (kept["status"], kept["estimated"], kept["completion_tokens"]) == ("cancelled", True, 2)
    assert kept["cost_usd"] == (kept["prompt_tokens"] * 1.0 + 4.0) / 1e6
    assert of_sql(await web.metrics(), "cost_usd") == kept["cost_usd"]


async def test_an_attempt_that_was_billed_is_charged(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the answer that it was for, and to the expert that was asked."""
    (general,) = (e for e in await web.parts.catalogue.now() if e.name == "general")
    settle = Outcome.settle

    def charged(self: Outcome, *args: Any) -> Any:
        accounts: Any = self._accounts
        accounts.charge(self.calls[-1], general, Tokens(100, 10))
        return settle(self, *args)

    monkeypatch.setattr(Outcome, "settle", charged)
    response = await web.chat("sql 1", model="sql")
    labels = response.json()["collegium"]
    kept, metrics = await web.outcome(labels["decision"]["id"]), await web.metrics()
    assert kept["attempts_usd"] == 0.0001
    assert float(response.headers[COST]) == kept["cost_usd"] == 0.000111
    assert told(kept)[:2] == (107, 12)
    assert metrics['collegium_cost_usd_total{expert="general"}'] == 0.0001
    assert of_sql(metrics, "cost_usd") == 0.000011


async def test_the_forecast_counts_answers_and_requests(priced: Web) -> None:
    """`n` answers are read once and written so many times; a request's own price comes once."""
    priced.experts["sql"].usage = None  # what is estimated teaches nothing
    for n in (1, 3):
        answer = await priced.chat("sql 1", model="sql", n=n, tools=TOOLS)
        forecasts = answer.json()["collegium"]["decision"]["forecasts"]
        forecast = next(each for each in forecasts if each["expert"] == "sql")
        written = 2.0 * forecast["output_tokens"]
        read = 1e6 * (forecast["cost_usd"] - PRICES["request"]) - written
        assert forecast["output_tokens"] % n == 0
        assert read == pytest.approx(prompt_tokens({**QUESTION, "tools": TOOLS}))


# --- prices of experts ---


async def test_prices_are_changed_one_by_one(priced: Web) -> None:
    """`null` forgets one, or all."""
    change = priced.http.patch
    path = "/v1/experts/sql"
    changed = await change(path, json={"prices": {"cached_input": 0.2, "request": None}})
    expected = {"cached_input": 0.2, "cache_write": 1.25, "reasoning": 3.0}
    assert changed.json()["prices"] == expected
    models = (await priced.http.get("/v1/models")).json()["data"]
    assert [m["collegium"]["prices"] for m in models if m["id"] == "sql"] == [expected]
    assert (await change(path, json={"prices": None})).json()["prices"] == {}


@pytest.mark.parametrize(
    ("prices", "words"),
    [
        ({"cached": 1.0}, "there is no price 'cached'"),
        ({"input_above_lots": 1.0}, "there is no price 'input_above_lots'"),
        ({"input": 1.0}, "the price of input is input_price"),
        ({"cached_input": -1.0}, "at least 0"),
        ({"cached_input": "free"}, "number"),
    ],
)
async def test_a_price_that_is_none_is_refused(web: Web, prices: Any, words: str) -> None:
    """With its name, and such names as there are."""
    response = await web.http.patch("/v1/experts/sql", json={"prices": prices})
    assert response.status_code in (400, 422)
    assert words in response.json()["error"]["message"]


async def test_a_preset_has_its_bases_prices_unless_it_has_its_own(priced: Web) -> None:
    """Each by itself."""
    body = {"name": "think", "like": "sql", "with": {"reasoning_effort": "high"}}
    made = await priced.http.post("/v1/experts", json={**body, "prices": {"reasoning": 6.0}})
    assert made.json()["expert"]["prices"] == {**PRICES, "reasoning": 6.0}
    await priced.http.patch("/v1/experts/sql", json={"prices": {"cached_input": 0.5}})
    experts = (await priced.http.get("/v1/experts")).json()["data"]
    (think,) = (e for e in experts if e["name"] == "think")
    assert think["prices"] == {**PRICES, "reasoning": 6.0, "cached_input": 0.5}
