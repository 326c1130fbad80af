"""The result of a Python function for given arguments."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from random import Random
from typing import Any

from collegium.experts.questions.base import Draft
from collegium.experts.questions.kinds import samples
from collegium.experts.questions.kinds.names import WORDS

Drawn = tuple[Callable[[Any], Any], Any]
COMMENT = re.compile(r"  # noqa.*")


def draw(random: Random, level: int) -> Draft:
    """Level 1 is one expression, level 2 a loop, level 3 has a trap or much to keep in mind."""
    function, argument = _BY_LEVEL[level](random)
    source = COMMENT.sub("", inspect.getsource(function)).rstrip()
    result = function(argument)
    text = (
        f"```python\n{source}\n```\n\nWhat does `{function.__name__}({argument!r})` return? "
        "Reply with the value only, as Python prints it."
    )
    if isinstance(result, int):
        return Draft(text, result)
    shown = re.escape(repr(result)).replace(r"\ ", r"\s*").replace(r"'", "['\"]?")
    return Draft(text, rf"[\s`*]*(?:python\s)?{shown}[\s`*.]*", "regex", {"whole": True})


def _numbers(random: Random, fewest: int, most: int) -> list[int]:
    return [random.randint(1, 12) for _ in range(random.randint(fewest, most))]


def _expression(random: Random) -> Drawn:
    if random.random() < 0.5:
        return random.choice((samples.double_odd, samples.tail)), _numbers(random, 4, 6)
    words = sorted(random.sample(WORDS, 3), key=len)
    if random.random() < 0.5 and len(words[-1]) > len(words[-2]):
        return samples.longest, random.sample(words, 3)
    return samples.initials, random.sample(words, 3)


def _loop(random: Random) -> Drawn:
    number = random.randrange(4)
    if number == 0:
        return samples.digits, random.randint(120, 980)
    if number == 1:
        return samples.counted, random.sample(WORDS, 5)
    return (samples.running, samples.zipped)[number - 2], _numbers(random, 5, 7)


def _trap(random: Random) -> Drawn:
    functions = (
        samples.shared,
        samples.paths,
        samples.collected,
        samples.machine,
        samples.generated,
    )
    return random.choice(functions), _numbers(random, 5, 7)


_BY_LEVEL: dict[int, Callable[[Random], Drawn]] = {1: _expression, 2: _loop, 3: _trap}
