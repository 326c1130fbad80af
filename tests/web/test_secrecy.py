"""What callers don't learn: where experts are, how they are reached, and what upstreams said."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from collegium.errors import ExpertRejected, ExpertUnavailable
from collegium.experts.clients.refusals import refused
from collegium.experts.clients.upstream_errors import ErrorDetails
from collegium.redaction import redacted, without_keys
from tests.web.access import ADMIN, CALLER, KEYS, bearer
from tests.web.conftest import Serve, Web
from tests.web.fakes import ADDRESS

SECRET = "http://10.1.2.3:8000/v1 refused sk-live-0123456789abcdef of /srv/models/secret"
SECRETS = ("10.1.2.3", "sk-live", "/srv/models", "refused sk")
HELLO: dict[str, Any] = {"model": "sql", "messages": [{"role": "user", "content": "sql 1"}]}


@pytest.fixture
async def guarded(serve: Serve) -> AsyncIterator[Web]:
    """A service with an administrator's key and a caller's."""
    async with serve(**KEYS) as web:
        yield web


async def test_callers_see_of_experts_what_they_need_to_choose(guarded: Web) -> None:
    """Name, capabilities and price; the operator sees all."""
    shown = (await guarded.http.get("/v1/experts", headers=bearer(CALLER))).json()["data"][0]
    assert {"name", "description", "input_price", "output_price", "skills"} <= shown.keys()
    assert not {"base_url", "api_key_env", "adapter", "engine", "model", "preset"} & shown.keys()
    whole = (await guarded.http.get("/v1/experts", headers=bearer(ADMIN))).json()["data"][0]
    assert whole["base_url"].startswith(ADDRESS)


async def test_no_answer_tells_a_caller_where_an_expert_is(guarded: Web) -> None:
    """Whatever is asked, also once somebody was."""
    asked = await guarded.http.post("/v1/chat/completions", json=HELLO, headers=bearer(CALLER))
    assert asked.is_success
    page = (await guarded.http.get("/metrics", headers=bearer(ADMIN))).text
    assert "collegium_slots_taken" in page
    assert ADDRESS not in page
    for path in ("/v1/experts", "/v1/models", "/v1/engines", "/metrics", "/healthz", "/readyz"):
        assert ADDRESS not in (await guarded.http.get(path, headers=bearer(CALLER))).text, path
    for path in ("/v1/route", "/v1/chat/completions"):
        answer = await guarded.http.post(path, json=HELLO, headers=bearer(CALLER))
        assert answer.is_success
        assert ADDRESS not in answer.text, path


@pytest.mark.parametrize("stream", [False, True])
async def test_what_an_upstream_said_is_for_the_operator(guarded: Web, stream: bool) -> None:
    """Neither the error nor the record of the decision tells it to a caller; the log does."""
    refused = ExpertUnavailable("sql", "can't connect", detail=SECRET)
    guarded.experts["sql"].refuses = refused
    body = {**HELLO, "stream": stream}
    failed = await guarded.http.post("/v1/chat/completions", json=body, headers=bearer(CALLER))
    assert failed.status_code == 503
    moved = await guarded.http.post(
        "/v1/chat/completions",
        json={**body, "routing": {"failover": True}},
        headers=bearer(CALLER),
    )
    assert moved.is_success
    assert '"tried"' in moved.text
    await guarded.parts.background.finish()
    records = [str(entry) for entry in await guarded.parts.log.recent()]
    for text in (failed.text, moved.text, *records):
        assert not [secret for secret in SECRETS if secret in text], text
    assert "sk-live" in refused.whole


async def test_the_log_tells_the_operator(guarded: Web, caplog: pytest.LogCaptureFixture) -> None:
    """In one line, whatever the upstream sent."""
    detail = f"{SECRET}\nforged: line"
    guarded.experts["sql"].refuses = ExpertUnavailable("sql", "can't connect", detail=detail)
    await guarded.http.post("/v1/chat/completions", json=HELLO, headers=bearer(CALLER))
    (message,) = [r.getMessage() for r in caplog.records if "can't connect" in r.getMessage()]
    assert "sk-live" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "text",
    [
        "see https://api.example.com/v1/x?key=1",
        "connect to db.internal:5432 failed",
        "no route to 10.2.3.4",
        "no route to fe80:0:0:0:1:2:3:4",
        "Incorrect API key provided: sk-proj-abcdefghijklmnop",
        "Rate limit in organization org-abcdefghijklmnop",
        "can't open /etc/collegium/secret.toml",
        "OPENAI_API_KEY is not set",
    ],
)
def test_places_and_keys_are_taken_out_of_a_text(text: str) -> None:
    """What is left says what happened."""
    found = redacted(text)
    assert "…" in found
    for secret in ("example", "internal", "10.2", "fe80", "abcdef", "/etc", "OPENAI"):
        assert secret not in found


def test_words_that_say_what_to_mend_stay() -> None:
    """Numbers, parameters and times are no places; other refusals are not told at all."""
    words = "top_k must be at most 4096 (got 99999) at 12:30, try temperature/top_p"
    assert redacted(words) == words
    mendable = refused("sql", ErrorDetails(400, words))
    assert isinstance(mendable, ExpertRejected)
    assert words in mendable.public
    for status in (401, 402, 403, 404, 429, 500, 503):
        assert words not in refused("sql", ErrorDetails(status, words)).public


QUOTED = ErrorDetails(
    400, "this is no question: tell me of my illness", code="invalid_request_error"
)


def softened(text: str) -> str:
    """What an operator may have texts redacted by."""
    return "[redacted]"


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({"record": "off"}, False),
        ({"redact": f"{__name__}:softened"}, False),
        ({"record": "prompts"}, True),
    ],
    ids=str,
)
async def test_the_log_quotes_upstreams_only_where_texts_are_kept_as_they_are(
    serve: Serve, settings: dict[str, Any], kept: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Upstreams quote prompts. The kind and the status are there; the caller is told all."""
    async with serve(**settings) as web:
        web.experts["sql"].refuses = refused("sql", QUOTED)
        with caplog.at_level(logging.INFO):
            answer = await web.chat("tell me of my illness", model="sql")
            await web.parts.background.finish()
    assert "my illness" in answer.json()["error"]["message"]
    assert ("my illness" in caplog.text) is kept
    assert ("expert 'sql': expert_rejected (400)" in caplog.text) is not kept


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("header 'Authorization: Bearer abcdefgh12345'", "header 'Authorization: Bearer …'"),
        ("no key: bearer eyJhbGciOi.x.y.", "no key: bearer …"),
        ("Incorrect API key: sk-proj-abcdefghijkl", "Incorrect API key: …"),
        ("own my own key 12345678, 1234567", "own my own key …, 1234567"),
        ("can't connect to http://10.1.2.3/v1 of org-abcdefghijkl", None),
    ],
)
def test_keys_are_taken_out_of_what_the_log_says(text: str, shown: str | None) -> None:
    """The operator is told the rest, places too."""
    assert without_keys(text, "12345678") == (text if shown is None else shown)
    assert without_keys("a short word", "short") == "a short word"
