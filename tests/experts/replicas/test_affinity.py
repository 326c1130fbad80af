"""Which replica: the one that knows the beginning, unless it is busier than the others."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from collegium.experts.replicas.affinity import beginning, chosen


@dataclass
class Replica:
    """A replica with some requests."""

    in_flight: int = 0
    slots: int = 16


def talk(question: str, *further: str, system: str = "Be brief.") -> dict[str, Any]:
    """A conversation."""
    later = [{"role": "assistant", "content": text} for text in further]
    first = [{"role": "system", "content": system}, {"role": "user", "content": question}]
    return {"messages": [*first, *later], "temperature": 0.5}


def test_a_conversation_keeps_its_beginning() -> None:
    """Its later turns, and other options; another question is another one."""
    assert beginning(talk("Hello")) == beginning(talk("Hello", "Hi", "And?") | {"seed": 1})
    assert beginning(talk("Hello")) != beginning(talk("Hello!"))
    assert beginning(talk("Hello")) != beginning(talk("Hello", system="Be long."))
    assert beginning({"input": ["a"]}) != beginning({"input": ["b"]})
    assert isinstance(beginning({"prompt": "once"}), bytes)


def test_conversations_are_spread_and_stay_where_they_are() -> None:
    """Every replica gets its part; when one is gone, only its own conversations move."""
    keys = [beginning(talk(f"question {n}")) for n in range(300)]
    four = {n: Replica() for n in range(4)}
    before = {key: next(n for n, r in four.items() if r is chosen(key, four)) for key in keys}
    assert min(Counter(before.values()).values()) > 50
    three = {n: r for n, r in four.items() if n != 2}
    for key, number in before.items():
        assert number == 2 or chosen(key, three) is four[number]


def test_a_busy_replica_passes_requests_on() -> None:
    """When it is a quarter of its slots ahead of the idlest, or full."""
    key = beginning(talk("Hello"))
    replicas = {0: Replica(), 1: Replica()}
    home = chosen(key, replicas)
    other = next(r for r in replicas.values() if r is not home)
    home.in_flight = 4
    assert chosen(key, replicas) is home
    home.in_flight = 5
    assert chosen(key, replicas) is other
    home.in_flight, other.in_flight = 16, 15
    assert chosen(key, replicas) is other
    home.in_flight, other.in_flight = 17, 16
    assert chosen(key, replicas) is other, "both are full: the less busy one"
