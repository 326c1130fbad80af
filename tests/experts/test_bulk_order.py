"""A bulk job's lines, the order of its groups, its full batches."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collegium.experts.bulk.crew import in_room, work_through
from collegium.experts.bulk.lines import BadLine, Line, read_lines
from collegium.experts.bulk.order import Group, best_schedule, schedule

CHAT = "/v1/chat/completions"
seconds = st.floats(0.1, 100)
groups = st.lists(
    st.builds(Group, st.uuids().map(str), seconds, seconds, st.sampled_from([1.0, 2.0, 4.0])),
    min_size=1,
    max_size=5,
)


def test_with_room_for_one_the_resident_engine_goes_first() -> None:
    """Its load is saved; all else is the sum of loads and work."""
    work = [Group(n, 10.0, 30.0, 4.0) for n in ("a", "b", "c")]
    best = best_schedule(work, 4.0, resident=["b"])
    assert best.order[0] == "b"
    assert best.makespan_s == pytest.approx(3 * 10 + 2 * 30)


def test_with_room_for_two_the_long_group_does_not_wait() -> None:
    """Two short groups share one place while the long one has the other."""
    work = [Group("s1", 5, 5, 1), Group("s2", 5, 5, 1), Group("long", 15, 5, 1)]
    assert best_schedule(work, 2.0).makespan_s == pytest.approx(20)


@settings(max_examples=60, deadline=None)
@given(groups, st.sampled_from([1.0, 2.0, 4.0, 8.0]))
def test_no_other_order_ends_earlier(work: list[Group], budget: float) -> None:
    """Compared with every order, and with the bounds that no schedule beats."""
    best = best_schedule(work, budget)
    tried = [schedule(order, budget, frozenset()) for order in permutations(work)]
    assert best.makespan_s == pytest.approx(min(s.makespan_s for s in tried))
    assert best.makespan_s >= max(g.load_s + g.work_s for g in work) - 1e-9
    area = sum((g.load_s + g.work_s) * min(g.memory_gib, budget) for g in work)
    assert best.makespan_s >= area / budget - 1e-6
    assert set(best.order) == {g.name for g in work}


def test_many_groups_are_ordered_without_trying_all() -> None:
    """Longest first is within 4/3 of the bound for equal engines (Graham 1969)."""
    work = [Group(str(n), float(1 + n * 7 % 11), 2.0, 1.0) for n in range(40)]
    best = best_schedule(work, 4.0)
    assert best.makespan_s <= sum(g.load_s + g.work_s for g in work) / 4 * 4 / 3


def raw(**fields: object) -> bytes:
    line = {"custom_id": "1", "method": "POST", "url": CHAT, "body": {}} | fields
    return json.dumps(line).encode() + b"\n"


def test_lines_are_read_and_bad_ones_said_why() -> None:
    """Each bad line is one error; the good ones around it stay."""
    source = [
        raw(),
        b"\n",
        b"{nonsense\n",
        raw(custom_id="2", url="/v1/embeddings"),
        raw(),
        raw(custom_id=7),
        b"\xff\xfe\n",
        raw(custom_id="3", body=[]),
        raw(custom_id="4", model="x"),
        b"[" * 100_000 + b"\n",
        raw(custom_id="6", body={"x": float("nan")}),
        raw(custom_id="5").rstrip(b"\n"),
    ]
    found = list(read_lines(source, CHAT))
    assert [f.number for f in found] == [1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    assert [f.custom_id for f in found if isinstance(f, Line)] == ["1", "5"]
    codes = [f.code for f in found if isinstance(f, BadLine)]
    json_, request, id_ = "invalid_json_line", "invalid_request", "invalid_custom_id"
    assert codes == [
        json_,
        request,
        "duplicate_custom_id",
        id_,
        json_,
        request,
        request,
        json_,
        json_,
    ]


@pytest.mark.parametrize(
    "line", [b"\xff\xfe", "{}".encode("utf-16"), b'{"custom_id": "\xed\xa0\x80"}']
)
def test_a_line_of_another_encoding_is_said_to_be_no_utf_8(line: bytes) -> None:
    """The encoding is not guessed."""
    (found,) = read_lines([line], CHAT)
    assert isinstance(found, BadLine)
    assert (found.code, found.message) == ("invalid_json_line", "line 1 is not text in UTF-8")


def test_a_mark_of_utf_8_may_begin_a_file() -> None:
    """As Windows' editors write it."""
    (found,) = read_lines([b"\xef\xbb\xbf" + raw()], CHAT)
    assert isinstance(found, Line)


def test_half_a_surrogate_pair_of_a_body_is_replaced() -> None:
    """As for a single request; the id is the caller's and stays."""
    body = {"messages": [{"role": "user", "content": "cut \ud83d, whole \U0001f600"}]}
    url = "/v1/chat/completions"
    text = json.dumps({"custom_id": "\ud83d", "method": "POST", "url": url, "body": body})
    (line,) = read_lines([text.encode()], url)
    assert isinstance(line, Line)
    assert line.custom_id == "\ud83d"
    assert line.body["messages"][0]["content"] == "cut \ufffd, whole \U0001f600"


async def test_work_goes_on_at_full_batch_and_ends_when_it_is_cancelled() -> None:
    """Never fewer at once than there may be while items wait; the first failure ends all."""
    busy, most, done = 0, 0, []

    async def work(item: int) -> None:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        try:
            await asyncio.sleep(0.001 * (item % 3))
            if item == 50:
                raise ValueError("no")
            done.append(item)
        finally:
            busy -= 1

    await work_through(range(40), work, at_once=8)
    assert (sorted(done), most, busy) == (list(range(40)), 8, 0)
    with pytest.raises(ValueError, match="no"):
        await work_through(range(45, 1000), work, at_once=8)
    assert busy == 0
    assert max(done) < 100


async def test_pieces_run_beside_each_other_while_they_fit() -> None:
    """In order, never more than the room holds; one that is too large runs alone."""
    used, most, began = 0.0, 0.0, []

    async def piece(size: float) -> None:
        nonlocal used, most
        began.append(size)
        used += size
        most = max(most, used if size <= 4 else 0.0)
        if size > 4:
            assert used == size
        await asyncio.sleep(0.01)
        used -= size

    sizes = [2.0, 2.0, 3.0, 5.0, 1.0, 1.0]
    await in_room([(size, partial(piece, size)) for size in sizes], 4.0)
    assert (began, most, used) == (sizes, 4.0, 0.0)
