"""Values of options: times, pairs and limits as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import click
import pytest

from collegium.cli.batch_command import _capacities, _pairs
from collegium.cli.budget_command import _split
from collegium.cli.router_calibrate import _target
from collegium.cli.times import Duration, Moment


def duration(value: Any) -> timedelta:
    return Duration().convert(value, None, None)


def moment(value: Any) -> datetime:
    return Moment().convert(value, None, None)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("45s", timedelta(seconds=45)),
        ("30m", timedelta(minutes=30)),
        ("24h", timedelta(hours=24)),
        ("7d", timedelta(days=7)),
        (timedelta(days=1), timedelta(days=1)),
    ],
)
def test_a_duration_has_a_number_and_a_unit(text: Any, span: timedelta) -> None:
    """Seconds, minutes, hours or days; a default need not be parsed."""
    assert duration(text) == span


@pytest.mark.parametrize("text", ["", "24", "h", "1.5h", "-1h", "24 h", "1w", "1234567d", "24h\n"])
def test_what_is_not_a_duration_is_refused(text: str) -> None:
    """The message shows how durations are written."""
    with pytest.raises(click.BadParameter, match="write 30m, 24h or 7d"):
        duration(text)


def test_a_moment_is_a_date_in_utc_by_default() -> None:
    """An explicit offset is kept."""
    assert moment("2027-01-31") == datetime(2027, 1, 31, tzinfo=UTC)
    assert moment("2027-01-31T12:00+02:00") == datetime(2027, 1, 31, 10, tzinfo=UTC)
    kept = datetime(2027, 1, 31, tzinfo=UTC)
    assert moment(kept) is kept


def test_a_moment_may_be_a_duration_from_now() -> None:
    """Measured from when it is read."""
    before = datetime.now(UTC)
    assert before <= moment("90d") - timedelta(days=90) <= datetime.now(UTC)


@pytest.mark.parametrize("text", ["", "tomorrow", "2027-02-30", "90"])
def test_what_is_not_a_moment_is_refused(text: str) -> None:
    """The message shows both ways to write one."""
    with pytest.raises(click.BadParameter, match=r"write 90d, or a date such as 2027-01-31"):
        moment(text)


def test_pairs_keep_what_follows_the_first_equals_sign() -> None:
    """A value may contain one, or be empty."""
    assert _pairs(("a=b=c", "d="), "--metadata") == {"a": "b=c", "d": ""}
    assert _pairs((), "--metadata") == {}


@pytest.mark.parametrize("text", ["", "a", "=a"])
def test_a_pair_needs_a_key_and_a_sign(text: str) -> None:
    """The message names the option."""
    with pytest.raises(click.UsageError, match="--metadata takes KEY=VALUE"):
        _pairs((text,), "--metadata")


def test_capacities_are_whole_numbers() -> None:
    """By the expert's name."""
    assert _capacities(("sql=100", "lists=0")) == {"sql": 100, "lists": 0}
    for wrong in ("sql=ten", "sql=-1", "sql=1.5", "sql="):
        with pytest.raises(click.UsageError, match="--capacity takes whole numbers"):
            _capacities((wrong,))


def test_the_subject_of_a_limit_has_a_scope_and_a_name() -> None:
    """The name may contain a colon, as a key's of a gateway may."""
    assert _split("key:ada:2") == ("key", "ada:2")
    for wrong in ("ada", "key:", "user:ada", ""):
        with pytest.raises(click.UsageError, match=r"is not SCOPE:NAME: write .*key:NAME"):
            _split(wrong)


def test_a_target_is_a_measure_and_a_number() -> None:
    """Of the measures that a trade-off has."""
    assert _target("share=0.3") == ("share", 0.3)
    with pytest.raises(click.UsageError, match=r"expected one of .*share"):
        _target("speed=0.3")
    with pytest.raises(click.UsageError, match="expected NAME=NUMBER"):
        _target("share=much")
