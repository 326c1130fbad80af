"""Times as written on the command line: `24h`, `90d`, or a date."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DURATION = re.compile(r"(\d{1,6})([smhd])")


def _duration(text: str) -> timedelta | None:
    match = _DURATION.fullmatch(text)
    return match and timedelta(**{UNITS[match[2]]: int(match[1])})


class Duration(click.ParamType[timedelta]):
    """A time span such as `24h`."""

    name = "duration"

    def convert(self, value: Any, param: Any, ctx: Any) -> timedelta:
        """Read it, or say how it is written."""
        if isinstance(value, timedelta):
            return value
        found = _duration(str(value))
        if found is None:
            self.fail(f"{value!r} is not a duration: write 30m, 24h or 7d", param, ctx)
        return found


class Moment(click.ParamType[datetime]):
    """A time in the future: after a duration such as `90d`, or a date, in UTC by default."""

    name = "time"

    def convert(self, value: Any, param: Any, ctx: Any) -> datetime:
        """Read it, or say how it is written."""
        if isinstance(value, datetime):
            return value
        if (span := _duration(str(value))) is not None:
            return datetime.now(UTC) + span
        try:
            found = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(
                f"{value!r} is not a time: write 90d, or a date such as 2027-01-31", param, ctx
            )
        return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
