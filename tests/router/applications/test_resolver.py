"""Requests find their applications; how well is measured on prompts that were written for it."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from collegium.registry.application import Application, Signature
from collegium.router.applications.fingerprint import fingerprint, similarity
from collegium.router.applications.resolver import OTHER, Applications, applications_of
from collegium.router.applications.signals import Signals
from tests.router.applications.prompts import (
    APPS,
    COMPANY,
    CONTOSO,
    HARD,
    App,
    pairs,
    traffic,
    variant,
)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("share", [(0.0, 0.4), (0.6, 0.8), (0.8, 0.8)])
def test_pairs_of_requests_are_told_alike_or_apart(share: tuple[float, float], seed: int) -> None:
    """In the second half of the traffic, up to 80 % of each prompt being pasted in."""
    signals, true = traffic(APPS, 8, share, seed)
    applications = Applications()
    found = [applications.of(each) for each in signals]
    half = len(found) // 2
    precision, recall = pairs(found[half:], true[half:])
    assert precision >= 0.99
    assert recall >= 0.97


def test_hard_prompts_are_mostly_told() -> None:
    """Roles that differ in one word or in none, or that no sentence tells."""
    signals, true = traffic(HARD, 20, (0.3, 0.6), 1)
    found, _ = applications_of(signals)
    precision, recall = pairs(found, true)
    assert precision >= 0.95
    assert recall >= 0.95


def test_offline_the_same_prompts_get_the_same_keys() -> None:
    """Each request's key is of an application that is returned."""
    signals, _ = traffic(CONTOSO, 5, (0.2, 0.5), 3)
    one, applications = applications_of(signals)
    other, _ = applications_of(signals)
    assert one == other
    assert set(one) <= {application.key for application in applications}
    assert sum(application.seen for application in applications) == len(signals)


def test_nothing_to_tell_by_is_no_application() -> None:
    """And is not counted."""
    applications = Applications()
    assert applications.of(Signals(tenant="a")) is None
    assert applications.known() == ()


def test_tags_are_keys_and_tenants_are_apart() -> None:
    """A tag wins over all else."""
    applications = Applications()
    assert applications.of(Signals(tag="desk", system="x", background="title")) == "desk"
    assert applications.of(Signals(tag="desk", tenant="a")) == "a:desk"
    assert applications.of(Signals(background="title")) == "background-title"
    one = applications.of(Signals(system=CONTOSO[0].text, tenant="a"))
    assert one != applications.of(Signals(system=CONTOSO[0].text, tenant="b"))
    assert one == applications.of(Signals(system=CONTOSO[0].text + " Hello.", tenant="a"))


def test_tools_and_schema_tell_applications_without_a_system_prompt() -> None:
    """A tool more is the same one; other tools or another schema are not."""
    applications = Applications()
    first = applications.of(Signals(tools=("a", "b", "c")))
    assert applications.of(Signals(tools=("a", "b", "c", "d"))) == first
    assert applications.of(Signals(tools=("x", "y"))) != first
    schema = '{"properties": {"a": {}, "b": {}}}'
    text = CONTOSO[0].text
    assert applications.of(Signals(system=text, schema=schema)) != applications.of(
        Signals(system=text)
    )


def test_a_tagged_application_also_learns_what_recurs() -> None:
    """Its signature is for comparisons; the same text again teaches nothing."""
    draw = random.Random(0)
    applications = Applications()
    for _ in range(6):
        signals = replace(variant(CONTOSO[0], draw, 0.6), tag="desk")
        applications.of(signals)
        applications.of(signals)
    (known,) = applications.known()
    assert (known.seen, known.variants) == (12, 6)
    bare = fingerprint(Signals(system=CONTOSO[0].text)).signature
    once = fingerprint(variant(CONTOSO[0], draw, 0.6)).signature
    assert similarity(known.signature, bare) > 0.6 > 1.3 * similarity(once, bare)


def test_a_merge_is_followed() -> None:
    """Through several, and from a tag to a fingerprint."""
    applications = Applications()
    own = applications.of(Signals(system=CONTOSO[0].text))
    applications.of(Signals(tag="one"))
    applications.of(Signals(tag="two"))
    known = {a.key: a for a in applications.known()}
    applications.load(
        [
            replace(known["one"], merged_into="two", pinned=True),
            replace(known["two"], merged_into=own, pinned=True),
        ]
    )
    assert applications.of(Signals(tag="one")) == own


def test_a_loaded_application_is_recognised_by_its_signature() -> None:
    """The registry keeps nothing else of its texts."""
    signals, _ = traffic(CONTOSO[:3], 6, (0.3, 0.6), 0)
    found, learnt = applications_of(signals)
    applications = Applications()
    applications.load(learnt)
    more, true = traffic(CONTOSO[:3], 4, (0.3, 0.6), 9)
    again = [applications.of(each) for each in more]
    assert set(again) == set(found)
    assert pairs(again, true) == (1.0, 1.0)


def test_what_changed_is_told_once_with_its_count() -> None:
    """What could not be kept is told again."""
    applications = Applications()
    for _ in range(3):
        applications.of(Signals(tag="desk"))
    (first,) = applications.changed()
    assert first.seen == 3
    assert applications.changed() == ()
    applications.of(Signals(tag="desk"))
    applications.unsaved([first])
    assert [a.seen for a in applications.changed()] == [4]


def test_the_rare_and_old_fall_out_into_other() -> None:
    """Those that ask again stay, and so does what a person decided about."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    clock = iter(now + timedelta(seconds=i) for i in range(100_000))
    applications = Applications(most=20, clock=lambda: next(clock))
    draw = random.Random(0)
    letters = "abcdefghijklmnopqrstuvwxyz"

    def text(i: int) -> str:
        words = ["".join(draw.choices(letters, k=6)) for _ in range(30)]
        return f"You are number {letters[i % 26]}. " + " ".join(words)

    stays = Signals(system=text(0))
    kept = applications.of(stays)
    applications.of(stays)
    for i in range(1, 100):
        applications.of(Signals(system=text(i)))
    known = {a.key: a for a in applications.known()}
    assert len(known) <= 21
    assert applications.of(stays) == kept
    assert known[OTHER].seen == 80
    assert len(applications.forgotten()) == 80


def test_where_nobody_is_rare_new_ones_are_other() -> None:
    """Tags as well: anybody can make them up."""
    applications = Applications(most=2)
    for tag in ("one", "two", "one", "two", "three", "four"):
        last = applications.of(Signals(tag=tag))
    assert last == OTHER
    assert {a.key for a in applications.known()} == {"one", "two", OTHER}


def test_two_that_look_alike_by_now_are_made_one_unless_a_person_split_them() -> None:
    """The older key stays."""
    applications = Applications()
    text = CONTOSO[0].text
    half = len(text) // 2
    older = Application("app-older", signature=_signature(text[: half + 60]))
    younger = Application(
        "app-younger",
        signature=_signature(text),
        first_seen=older.first_seen + timedelta(seconds=1),
    )
    applications.load([older, younger])
    applications.of(Signals(system=f"{text} Be nice."))
    assert applications.final("app-younger") == "app-older"
    apart = Applications()
    apart.load([older, replace(younger, pinned=True)])
    apart.of(Signals(system=f"{text} Be nice."))
    assert apart.final("app-younger") == "app-younger"


def test_among_ten_thousand_a_request_finds_its_own_quickly() -> None:
    """0.2 ms for a new text of 360 words on a core of its own; here is room for a busy machine."""
    draw = random.Random(0)
    words = [
        "".join(draw.choices("abcdefghiklmnoprstuvwz", k=draw.randint(2, 9))) for _ in range(5000)
    ]

    def app(i: int) -> App:
        own = ". ".join(" ".join(draw.choices(words, k=10)) for _ in range(12))
        role = f"You are the {' '.join(draw.choices(words, k=4))} of {draw.choice(words)}"
        return App(str(i), f"{role}. {own}{COMPANY}")

    apps = [app(i) for i in range(2000)]
    applications = Applications()
    keys = {a.name: applications.of(variant(a, draw, 0.3)) for a in apps}
    asked = [(a.name, variant(a, draw, draw.uniform(0, 0.6))) for a in draw.sample(apps, 300)]
    took, found = [], []
    for _, signals in asked:
        started = time.perf_counter()
        found.append(applications.of(signals))
        took.append(time.perf_counter() - started)
    assert found == [keys[name] for name, _ in asked]
    assert np.median(took) < 0.002


def _signature(text: str) -> Signature:
    (application,) = applications_of([Signals(system=text)])[1]
    return application.signature


@pytest.mark.parametrize("tagged", [True, False])
def test_one_tenant_can_not_fill_the_table(tagged: bool) -> None:
    """It makes room among its own; the others' stay, however rarely they were seen."""
    applications = Applications(most=100)
    draw = random.Random(0)

    def signals(tenant: str, i: int) -> Signals:
        if tagged:
            return Signals(tag=f"tag-{i}", tenant=tenant)
        words = ["".join(draw.choices("abcdefghijklm", k=6)) for _ in range(30)]
        return Signals(system=" ".join(words), tenant=tenant)

    others = [applications.of(signals("shop", i)) for i in range(5)]
    for i in range(500):
        applications.of(signals("greedy", i))
    known = {a.key: a for a in applications.known()}
    assert {key for key in others if key} <= known.keys()
    assert sum(a.tenant == "greedy" for a in known.values()) <= 11  # its share, and `other`
