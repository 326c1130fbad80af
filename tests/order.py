"""In which order tests run, and which servers end before the run does.

The embedded pool takes 3.5 GiB. Three pools, two browsers and a dozen small services that lasted
until the end of the run filled 24 GiB: nothing moved for minutes, and tests failed elsewhere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import pytest

POOLS = ("service", "crash_dummy")
SERVERS = (*POOLS, "browser", "busy", "empty", "gateway", "keyed", "told")
"""Fixtures of the whole run that are processes. A fixture used again after its end starts anew."""

Ends = dict[str, list[Any]]
"""By a test's id, the definitions of fixtures that end after it."""


def together(items: list[pytest.Item]) -> None:
    """Put first the files that use the embedded pool, then those that kill the other one."""
    files: dict[str, int] = defaultdict(lambda: len(POOLS))
    for item in items:
        for rank, name in enumerate(POOLS):
            if lasting(item, name) is not None:
                files[file_of(item)] = min(rank, files[file_of(item)])
    items.sort(key=lambda item: files[file_of(item)])


def ends(items: list[pytest.Item], scope: Callable[[str], str]) -> Ends:
    """Say after which test of each scheduled scope a server ends: the last one that uses it."""
    last: dict[tuple[str, str], pytest.Item] = {}
    for item in items:
        for name in SERVERS:
            if lasting(item, name) is not None:
                last[scope(item.nodeid), name] = item
    found: Ends = defaultdict(list)
    for (_, name), item in last.items():
        found[item.nodeid].append(lasting(item, name))
    return found


def end_after(item: pytest.Item, found: Ends) -> Iterator[None]:
    """Tear down a test, and then the servers that nobody needs any more."""
    result = yield
    for definition in found.get(item.nodeid, ()):
        definition.finish(item._request)  # type: ignore[attr-defined]  # pytest has no public way
    return result


def lasting(item: pytest.Item, name: str) -> Any:
    """The definition of a fixture that a test uses and that lasts for the run; None if none is."""
    info = getattr(item, "_fixtureinfo", None)
    definitions = () if info is None else info.name2fixturedefs.get(name, ())
    return next((each for each in definitions[-1:] if each.scope == "session"), None)


def file_of(item: pytest.Item) -> str:
    """The file of a test, as its id names it."""
    return item.nodeid.partition("::")[0]
