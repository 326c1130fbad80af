"""Spans as a collector gets them from the real exporters."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from collegium.errors import ExpertUnavailable
from tests.web import messages, panels, responses
from tests.web.bulk import done, line
from tests.web.callers import calling
from tests.web.conftest import Serve, until
from tests.web.telemetry.collector import Collector, collecting
from tests.web.telemetry.conftest import Traced

CHAT = "POST /v1/chat/completions"
SERVER, CLIENT, ERROR = 2, 3, 2
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SECRET = "pineapple"
QUESTION = {"messages": [{"role": "user", "content": "sql 1"}]}


def in_one_trace(collector: Collector) -> bool:
    return len({span.trace for span in collector.spans}) == 1


async def test_a_chat_is_a_request_a_route_and_an_attempt(
    traced: Traced, collector: Collector
) -> None:
    """Each with its facts, by the names of OpenTelemetry's conventions."""
    async with traced() as web:
        answer = await web.chat(model="auto")
    root = collector.one(CHAT)
    assert in_one_trace(collector)
    assert collector.below(root) == ["attempt 1", "route"]
    assert (root.kind, root.parent, root.status) == (SERVER, "", 0)
    assert root.attributes["http.route"] == "/v1/chat/completions"
    assert root.attributes["http.response.status_code"] == 200
    assert root.attributes["collegium.request.id"] == answer.headers["x-request-id"]
    assert root.attributes["collegium.status"] == "ok"
    labels = answer.json()["collegium"]
    assert root.attributes["collegium.cost_usd"] == labels["outcome"]["cost_usd"]
    route = collector.one("route").attributes
    assert route["gen_ai.request.model"] == "auto"
    assert route["collegium.decision.id"] == labels["decision"]["id"]
    assert route["collegium.expert"] == "sql"
    assert route["collegium.reason"] == labels["decision"]["reason"]
    assert route["collegium.forecast.cost_usd"] > 0
    attempt = collector.one("attempt 1")
    assert attempt.kind == CLIENT
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "sql",
        "gen_ai.response.id": "chatcmpl-upstream",
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 2,
    }
    assert expected.items() <= attempt.attributes.items()
    assert collector.resource["service.name"] == "collegium"


async def test_a_stream_tells_when_its_first_chunk_came(
    traced: Traced, collector: Collector
) -> None:
    """Its spans end with it, and so have what it took."""
    async with traced() as web:
        assert (await web.chat(stream=True)).status_code == 200
    attempt, root = collector.one("attempt 1"), collector.one(CHAT)
    assert attempt.attributes["gen_ai.request.stream"] is True
    assert attempt.attributes["gen_ai.response.time_to_first_chunk"] > 0
    assert attempt.attributes["gen_ai.usage.output_tokens"] == 2
    assert root.attributes["collegium.time_to_first_token_ms"] > 0


async def test_a_stream_that_breaks_is_an_error(traced: Traced, collector: Collector) -> None:
    """Although its status was 200."""
    async with traced() as web:
        web.experts["sql"].dies = ExpertUnavailable("sql", f"it said {SECRET}")
        assert (await web.chat(stream=True)).status_code == 200
    for span in (collector.one("attempt 1"), collector.one(CHAT)):
        assert (span.status, span.attributes["error.type"]) == (ERROR, "expert_unavailable")
    assert collector.one(CHAT).attributes["collegium.status"] == "error"


async def test_failover_is_two_attempts(traced: Traced, collector: Collector) -> None:
    """The first one failed; the request did not."""
    async with traced() as web:
        web.experts["sql"].refuses = ExpertUnavailable("sql", f"it said {SECRET}")
        answer = await web.chat(model="auto")
        asked = answer.json()["collegium"]["outcome"]["expert"]
    first, second = collector.one("attempt 1"), collector.one("attempt 2")
    assert collector.below(collector.one(CHAT)) == ["attempt 1", "attempt 2", "route"]
    assert (first.status, first.attributes["error.type"]) == (ERROR, "expert_unavailable")
    assert (second.status, second.attributes["collegium.expert"]) == (0, asked)
    assert collector.one(CHAT).status == 0


async def test_a_panel_has_a_span_for_each_seat(traced: Traced, collector: Collector) -> None:
    """The attempts are below the members and the aggregator."""
    async with traced() as web:
        assert (await panels.ask(web, "moa", k=2)).status_code == 200
    root = collector.one(CHAT)
    assert collector.below(root) == ["aggregate", "panel member", "panel member", "route"]
    seats = [*collector.named("panel member"), collector.one("aggregate")]
    assert {seat.attributes["collegium.seat"] for seat in seats} == {0, 1, 2}
    assert [collector.below(seat) for seat in seats] == [["attempt 1"]] * 3


async def test_other_protocols_have_the_same_spans(traced: Traced, collector: Collector) -> None:
    """Responses and Messages."""
    async with traced() as web:
        await responses.ask(web)
        await messages.message(web)
    for name in ("POST /v1/responses", "POST /v1/messages"):
        assert collector.below(collector.one(name)) == ["attempt 1", "route"]


async def test_each_line_of_a_batch_is_a_trace(traced: Traced, collector: Collector) -> None:
    """It names its job and its line."""
    async with traced() as web:
        batch, _ = await done(web, [line("a"), line("b")])
    lines = collector.named("batch line")
    assert sorted(span.attributes["collegium.batch.line"] for span in lines) == [1, 2]
    assert {span.attributes["collegium.batch.id"] for span in lines} == {batch["id"]}
    assert [collector.below(span) for span in lines] == [["attempt 1"]] * 2
    assert len({span.trace for span in lines}) == 2


async def test_traces_go_on_from_callers_to_upstreams(traced: Traced, collector: Collector) -> None:
    """The caller's span is above the request's, the attempt's above the upstream's."""
    async with traced() as web:
        web.http.headers["traceparent"] = f"00-{TRACE}-{PARENT}-01"
        web.http.headers["tracestate"] = "vendor=1"
        await web.chat()
        sent = web.experts["sql"].asked[0].headers
    root, attempt = collector.one(CHAT), collector.one("attempt 1")
    assert (root.trace, root.parent) == (TRACE, PARENT)
    assert sent == {"traceparent": f"00-{TRACE}-{attempt.id}-01", "tracestate": "vendor=1"}


async def test_a_caller_that_samples_nothing_is_heeded(
    traced: Traced, collector: Collector
) -> None:
    """Its trace goes on to the upstream, unsampled, and nothing is exported."""
    async with traced() as web:
        web.http.headers["traceparent"] = f"00-{TRACE}-{PARENT}-00"
        await web.chat()
        sent = web.experts["sql"].asked[0].headers["traceparent"]
    assert sent.startswith(f"00-{TRACE}-")
    assert sent.endswith("-00")
    assert collector.spans == []


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_spans_end_when_the_caller_leaves(
    traced: Traced, collector: Collector, stream: bool
) -> None:
    """As cancelled, which is no error."""
    async with traced() as web:
        script = web.experts["sql"]
        script.waits = True
        async with calling(web, {**QUESTION, "stream": stream}) as caller:
            await until(lambda: script.asked)
            caller.left.set()
    for span in (collector.one("attempt 1"), collector.one(CHAT)):
        assert span.attributes["collegium.status"] == "cancelled"
        assert (span.status, span.attributes.get("error.type")) == (0, None)


async def test_refusals_are_spans_too(traced: Traced, collector: Collector) -> None:
    """With their status, and no error of the service's."""
    async with traced(api_key="the-operators-key") as web:
        assert (await web.chat()).status_code == 401
        assert (await web.http.get("/v1/nothing")).status_code == 401
        assert (await web.http.get("/healthz")).status_code == 200
    assert [span.name for span in collector.spans] == ["POST", "GET"]
    assert {span.attributes["http.response.status_code"] for span in collector.spans} == {401}
    assert {span.status for span in collector.spans} == {0}


async def test_no_attribute_has_what_was_asked_or_answered(
    traced: Traced, collector: Collector
) -> None:
    """Nor what an upstream said of it."""
    async with traced() as web:
        for name in panels.NAMES:
            web.experts[name].says = f"the answer is {SECRET}"
        await web.chat(f"sql {SECRET}", stream=True)
        await web.chat(f"sql {SECRET}", model="collegium/moa", routing={"k": 2})
        await done(web, [line(SECRET, f"sql {SECRET}")])
        web.experts["sql"].refuses = ExpertUnavailable("sql", f"can't read {SECRET}")
        await web.chat(f"sql {SECRET}", model="sql")
    assert len(collector.spans) > 10
    assert [span.name for span in collector.spans if SECRET in span.raw] == []


async def test_an_attribute_is_bounded(traced: Traced, collector: Collector) -> None:
    """A caller may name any model."""
    async with traced() as web:
        await web.chat(model="x" * 5000)
    longest: dict[str, Any] = collector.one("route").attributes
    assert len(longest["gen_ai.request.model"]) == 1024


async def test_nothing_is_exported_by_default(serve: Serve, collector: Collector) -> None:
    """A service without the variable has no middleware, and no span."""
    async with serve() as web:
        await web.chat()
        assert not web.parts.telemetry.on
    assert (collector.spans, collector.metrics) == ([], {})


async def test_a_collector_that_is_away_harms_nobody(traced: Traced, collector: Collector) -> None:
    """Answers come, and the service ends within seconds."""
    async with asyncio.timeout(20):
        collector.port = 1
        async with traced() as web:
            assert (await web.chat()).status_code == 200


async def test_a_slow_collector_is_not_waited_for(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither by requests nor, for long, by the end of the service."""
    with collecting(delay_s=8.0) as slow:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", slow.url)
        loop = asyncio.get_running_loop()
        async with serve(max_body_mib=31.0) as web:
            began = loop.time()
            assert (await web.chat()).status_code == 200
            assert loop.time() - began < 5
            began = loop.time()
        assert loop.time() - began < 7
