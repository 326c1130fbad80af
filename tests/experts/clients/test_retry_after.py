"""How long an upstream wants to be left alone, in every way that they say it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from collegium.experts.clients.retry_after import LONGEST_S, retry_after_s


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "17"}, 17),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "-5"}, 0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "1e12"}, LONGEST_S),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"x-ratelimit-reset-requests": "6m0s"}, 360),
        ({"x-ratelimit-reset-tokens": "2m59.56s"}, 179.56),
        ({"x-ratelimit-reset-requests": "20ms"}, 0.02),
        (
            {
                "x-ratelimit-remaining-requests": "9",
                "x-ratelimit-reset-requests": "1s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "30s",
            },
            30,
        ),
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "30s"}, 1),
        ({"x-ratelimit-limit-requests": "60"}, None),
        ({}, None),
    ],
)
def test_headers_say_when(headers: dict[str, str], seconds: float | None) -> None:
    """The most exact of them; nobody is left alone for years."""
    assert retry_after_s(headers, "", "") == pytest.approx(seconds)


def test_a_moment_is_as_good_as_a_time() -> None:
    """As a date of HTTP, in ISO's form, or in seconds or milliseconds since 1970."""
    soon = datetime.now(UTC) + timedelta(seconds=60)
    for headers in (
        {"retry-after": format_datetime(soon, usegmt=True)},
        {"anthropic-ratelimit-tokens-reset": soon.isoformat().replace("+00:00", "Z")},
        {"x-ratelimit-reset": str(time.time() + 60)},
        {"x-ratelimit-reset": str(1000 * (time.time() + 60))},
    ):
        assert retry_after_s(headers, "", "") == pytest.approx(60, abs=2)


@pytest.mark.parametrize(
    ("code", "message", "seconds"),
    [
        ("", "Rate limit reached. Please try again in 20s. Visit …", 20),
        ("", "Please try again in 7m12.5s.", 432.5),
        ("", "Please retry in 17.3s", 17.3),
        ("", "Try again in 3 seconds", 3),
        ("", "Retry after 350ms", 0.35),
        ("429 resource_exhausted type.googleapis.com/google.rpc.retryinfo 17s", "", 17),
        ("", "Try again later", None),
        ("", "99s of 100s used", None),
    ],
)
def test_words_say_when(code: str, message: str, seconds: float | None) -> None:
    """Where no header does."""
    assert retry_after_s({}, code, message) == pytest.approx(seconds)
    assert retry_after_s({"retry-after": "5"}, code, message) == 5
