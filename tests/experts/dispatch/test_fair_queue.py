"""Start-time fair queueing: equal work for callers who wait."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from collegium.experts.dispatch.fair_queue import FairQueue

ARRIVALS = st.lists(st.tuples(st.sampled_from("abc"), st.floats(0.1, 5.0)), max_size=60)


def filled(*callers: str) -> FairQueue[str]:
    """One item a letter, named after its caller."""
    queue = FairQueue[str]()
    for caller in callers:
        queue.push(caller, caller)
    return queue


def test_one_callers_burst_does_not_hold_up_another() -> None:
    """Ten of a's wait; b's one is second."""
    queue = filled(*"aaaaaaaaaab")
    assert [queue.pop() for _ in range(3)] == ["a", "b", "a"]


def test_work_is_shared_and_not_the_number_of_requests() -> None:
    """Whose requests are three times the work gets a third as many served."""
    queue = FairQueue[str]()
    for _ in range(40):
        queue.push("long", "long", 3.0)
        queue.push("short", "short", 1.0)
    served = Counter(queue.pop() for _ in range(40))
    assert served == {"short": 30, "long": 10}


def test_who_was_idle_has_saved_nothing_up() -> None:
    """A caller that comes late gets half from then on, not everything."""
    queue = filled(*"a" * 50)
    for _ in range(30):
        queue.pop()
    for _ in range(20):
        queue.push("b", "b")
    assert Counter(queue.pop() for _ in range(20)) == {"a": 10, "b": 10}


def test_urgent_requests_pass_only_the_callers_own() -> None:
    """Nobody takes from others by calling everything urgent."""
    queue = FairQueue[str]()
    for name in ("a1", "a2"):
        queue.push(name, "a")
    queue.push("b1", "b")
    queue.push("a3", "a", first=True)
    assert [queue.pop() for _ in range(4)] == ["a3", "b1", "a1", "a2"]


def test_what_gives_up_is_gone() -> None:
    """And an empty line leaves nothing behind."""
    queue, item = filled("b"), "a's"
    queue.push(item, "a")
    queue.discard(item, "a")
    queue.discard(item, "a")
    assert (len(queue), queue.pop(), len(queue)) == (1, "b", 0)


@given(ARRIVALS)
def test_everything_is_served_once_and_in_the_callers_order(
    arrivals: list[tuple[str, float]],
) -> None:
    """Whatever comes."""
    queue = FairQueue[tuple[str, int]]()
    for number, (caller, work) in enumerate(arrivals):
        queue.push((caller, number), caller, work)
    served = [queue.pop() for _ in range(len(queue))]
    assert sorted(number for _, number in served) == list(range(len(arrivals)))
    for caller in "abc":
        own = [number for name, number in served if name == caller]
        assert own == sorted(own)


@given(ARRIVALS)
def test_callers_who_wait_are_never_further_apart_than_their_longest_requests(
    arrivals: list[tuple[str, float]],
) -> None:
    """The bound of the paper: while both wait, work differs by at most one request of each."""
    queue = FairQueue[tuple[str, float]]()
    for caller, work in arrivals:
        queue.push((caller, work), caller, work)
    waiting = Counter(caller for caller, _ in arrivals)
    done = dict.fromkeys(waiting, 0.0)
    longest = {c: max(w for name, w in arrivals if name == c) for c in waiting}
    for _ in range(len(queue)):
        caller, work = queue.pop()
        done[caller] += work
        waiting[caller] -= 1
        for a in waiting:
            for b in waiting:
                if waiting[a] and waiting[b]:
                    assert abs(done[a] - done[b]) <= longest[a] + longest[b] + 1e-9


@given(ARRIVALS, st.sampled_from("abc"))
def test_who_is_ahead_is_counted(arrivals: list[tuple[str, float]], caller: str) -> None:
    """With equal work, the next request is served after exactly so many, or one round of ties."""
    queue = FairQueue[str]()
    for name, _ in arrivals:
        queue.push(name, name)
    ahead = queue.ahead(caller)
    queue.push("mine", caller)
    order = [queue.pop() for _ in range(len(queue))]
    assert 0 <= ahead - order.index("mine") <= 2
