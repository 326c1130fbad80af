"""Find the application of a request.

Pairs of requests in the second half of mixed traffic, means of four draws of 20 requests an
application (`tests/router/applications/prompts.py`):

    share of the system prompt that is pasted in      0-40 %   30-60 %   60-80 %   80 %
    22 applications, 8 with boilerplate  precision     1.00     1.00      1.00     1.00
                                         recall        1.00     1.00      1.00     1.00
    12 hard ones, written after the      precision     1.00     1.00      0.99     0.97
    rules to break them                  recall        1.00     1.00      0.98     0.97

With 10,000 known ones a text of 360 words that is new takes 0.18 ms (median), one that was seen
before 0.006 ms, and all of them together 110 to 170 MB.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice

from collegium.registry.application import Application
from collegium.registry.clock import utc_now
from collegium.router.applications.fingerprint import Fingerprint, fingerprint
from collegium.router.applications.index import Index
from collegium.router.applications.known import Known, belongs
from collegium.router.applications.naming import application_of, is_rare, key_of, qualified
from collegium.router.applications.signals import Signals

__all__ = ["OTHER", "Application", "Applications", "applications_of"]

OTHER = "other"
"""The application of those that are too many to be kept apart."""
MOST = 10_000
SHARES = 10
"""Each tenant except the operator gets at most one of this many shares of the table."""
SURE = 0.5
"""Containment of one application in another from which a request of both makes one of them."""


LEARNT = 16
"""Texts of a tagged application after which its signature is left as it is."""
PLAIN = 0.8
"""Containment above which no other candidates are considered."""


class Applications:
    """The known applications, in memory. Tags are taken as they are, the rest is compared.

    At most `most` applications are told by fingerprints, and as many by tags; beyond that, those
    that were seen once and long ago fall out into `OTHER`, and if there are none, new ones do.
    """

    def __init__(self, *, most: int = MOST, clock: Callable[[], datetime] = utc_now) -> None:
        self._most = most
        self._clock = clock
        self._known: dict[str, Known] = {}
        self._recent: dict[bool, OrderedDict[str, None]] = {
            tagged: OrderedDict() for tagged in (False, True)
        }
        """Keys, longest unseen first. Tags are apart: anybody can make up any number of them."""
        self._held: Counter[tuple[bool, str]] = Counter()
        """The number of applications of each tenant, by tags and by fingerprints."""
        self._index = Index()
        self._texts: OrderedDict[int, str] = OrderedDict()
        self._changed: set[str] = set()
        self._forgotten: list[str] = []

    def of(self, signals: Signals) -> str | None:
        """The key of a request's application, creating one if none matches; count the request."""
        if signals.silent:
            return None
        name = signals.tag or (signals.background and f"background-{signals.background}")
        if name:
            known = self._named(qualified(name, signals.tenant), signals)
        else:
            known = self._alike(signals)
        self._saw(known)
        return self._final(known).key

    def known(self) -> tuple[Application, ...]:
        """Return all applications, including those merged into others."""
        return tuple(known.snapshot() for known in self._known.values())

    def get(self, key: str) -> Application | None:
        """Return one application; None if it is unknown."""
        known = self._known.get(key)
        return None if known is None else known.snapshot()

    def final(self, key: str) -> str:
        """Return the key of the application that one was merged into; its own if it wasn't."""
        known = self._known.get(key)
        return key if known is None else self._final(known).key

    def load(self, applications: Iterable[Application]) -> None:
        """Take over what was kept, in place of what is known of the same keys.

        Of applications that are known already only what people decide and the count are taken over.
        """
        for application in applications:
            known = self._known.get(application.key)
            if known is None:
                self._add(Known.of(application))
                continue
            now = known.application
            known.application = replace(
                application,
                text=now.text,
                seen=max(now.seen, application.seen),
                last_seen=max(now.last_seen, application.last_seen),
            )

    def changed(self) -> tuple[Application, ...]:
        """Return the changes since the last call; `seen` counts only the requests since then."""
        found = []
        for key in self._changed:
            if (known := self._known.get(key)) is not None:
                found.append(replace(known.snapshot(), seen=known.unsaved))
                known.unsaved = 0
        self._changed.clear()
        return tuple(found)

    def unsaved(self, applications: Iterable[Application]) -> None:
        """Keep the last changes for the next call, since they could not be stored."""
        for application in applications:
            if (known := self._known.get(application.key)) is not None:
                known.unsaved += application.seen
                self._changed.add(application.key)

    def again(self, signals: Sequence[Signals]) -> list[str | None]:
        """The keys of requests that were seen before, with all that was learnt since."""
        return [None if each.silent else self._again(each) for each in signals]

    def forgotten(self) -> tuple[str, ...]:
        """The applications that fell out since the last call."""
        found, self._forgotten = tuple(self._forgotten), []
        return found

    def _named(self, key: str, signals: Signals) -> Known:
        known = self._known.get(key)
        if known is None:
            if not self._has_room(signals.tenant, tagged=True):
                return self._other(signals.tenant)
            new = application_of(key, signals, self._clock(), tagged=True)
            self._texts[hash(signals)] = key
            known = self._add(Known.first(new, fingerprint(signals)))
        elif not known.application.tagged:
            return (
                known  # naming an application that is told by its prompts teaches nothing of them
            )
        elif known.texts < LEARNT and (text := hash(signals)) not in self._texts:
            self._texts[text] = key
            known.add(fingerprint(signals))
        return known

    def _alike(self, signals: Signals) -> Known:
        """The application whose requests look so; texts that were seen before are looked up."""
        text = hash(signals)
        key = self._texts.get(text)
        known = None if key is None else self._known.get(key)
        if known is None:
            known = self._compared(signals)
            self._texts[text] = known.key
            if len(self._texts) > 4 * self._most:
                self._texts.popitem(last=False)
        return known

    def _again(self, signals: Signals) -> str:
        """A text that stood alone joins the application that it fits by now."""
        name = signals.tag or (signals.background and f"background-{signals.background}")
        if name:
            return self.final(qualified(name, signals.tenant))
        known = self._alike(signals)
        if known.texts == 1:
            fitting = self._fitting(fingerprint(signals), signals.tenant)
            joined = next((other for _, other in fitting if other.texts > 1), None)
            if joined is not None:
                self._merge(known, joined)
        return self._final(known).key

    def _compared(self, signals: Signals) -> Known:
        seen = fingerprint(signals)
        fitting = self._fitting(seen, signals.tenant)
        if not fitting:
            return self._new(signals, seen)
        known = fitting[0][1]
        known.add(seen)
        if known.texts & (known.texts - 1) == 0:  # its second, fourth, eighth … text
            self._index.put(known)
        for _, other in fitting[1:]:
            self._merge(known, other)
        return known

    def _fitting(self, seen: Fingerprint, tenant: str) -> list[tuple[float, Known]]:
        """The applications that a request may be of, surest first."""
        candidates = self._index.candidates(seen, tenant)
        if not candidates:
            return []
        common = self._index.common(seen, tenant)
        fitting = []
        for known in candidates:
            if (surely := belongs(known, seen, common)) > 0:
                fitting.append((surely, known))
            if surely >= PLAIN and known.ripe:
                break
        return sorted(fitting, key=lambda found: (-found[0], found[1].application.first_seen))

    def _merge(self, one: Known, other: Known) -> None:
        """Make one of two that look alike, unless a person had a say; the older one's key stays.

        That one request fits both is not enough: a chain of such requests would join everything.
        """
        one, other = self._final(one), self._final(other)
        if one is other or one.application.pinned or other.application.pinned:
            return
        common = self._index.common(other.fingerprint, other.application.tenant)
        if belongs(one, other.fingerprint, common) < SURE:
            return
        older, younger = sorted((one, other), key=lambda k: (k.application.first_seen, k.key))
        if younger.application.policy or younger.application.name:
            return
        younger.application = replace(younger.application, merged_into=older.key)
        self._changed.add(younger.key)

    def _new(self, signals: Signals, seen: Fingerprint) -> Known:
        if not self._has_room(signals.tenant, tagged=False):
            return self._other(signals.tenant)
        key = key_of(signals)
        while key in self._known:  # two texts with the same 32 bits
            key = key_of(signals, salt=key)
        return self._add(Known.first(application_of(key, signals, self._clock()), seen))

    def _other(self, tenant: str) -> Known:
        key, now = qualified(OTHER, tenant), self._clock()
        other = self._known.get(key)
        if other is None:
            other = Known.of(Application(key, tenant=tenant, first_seen=now, last_seen=now))
            self._known[key] = other
        return other

    def _add(self, known: Known) -> Known:
        application = known.application
        self._known[known.key] = known
        if known.key != qualified(OTHER, application.tenant):
            recent = self._recent[application.tagged]
            self._held[application.tagged, application.tenant] += known.key not in recent
            recent[known.key] = None
            if not application.tagged:
                self._index.put(known)
        return known

    def _saw(self, known: Known) -> None:
        known.saw(self._clock())
        self._changed.add(known.key)
        recent = self._recent[known.application.tagged]
        if known.key in recent:
            recent.move_to_end(known.key)

    def _has_room(self, tenant: str, *, tagged: bool) -> bool:
        """Make room if the table is full: forget a twentieth, the oldest that were seen once.

        A tenant whose share is full makes room among its own, and not among the others'.
        """
        recent, share = self._recent[tagged], max(self._most // SHARES, 1)
        if tenant and self._held[tagged, tenant] >= share:
            own = (k for k in recent if self._known[k].application.tenant == tenant)
            return self._forget(recent, own, share // 20)
        if len(recent) < self._most:
            return True
        return self._forget(recent, islice(recent, self._most // 2 + 1), self._most // 20)

    def _forget(self, recent: OrderedDict[str, None], among: Iterable[str], count: int) -> bool:
        """Forget the first of those that were seen once; return whether there were any."""
        rare = (self._known[key] for key in among if is_rare(self._known[key].application))
        forgotten = list(islice(rare, max(count, 1)))
        for known in forgotten:
            self._held[known.application.tagged, known.application.tenant] -= 1
            self._index.remove(known)
            del self._known[known.key], recent[known.key]
            self._changed.discard(known.key)
            self._forgotten.append(known.key)
            self._saw(self._other(known.application.tenant))
        return bool(forgotten)

    def _final(self, known: Known) -> Known:
        """Follow merges; of a circle, which no merge makes, any."""
        for _ in range(16):
            into = known.application.merged_into
            further = None if into is None else self._known.get(into)
            if further is None:
                break
            known = further
        return known


def applications_of(
    signals: Sequence[Signals],
) -> tuple[list[str | None], tuple[Application, ...]]:
    """Return each request's application as the live service would recognise it, and all
    applications.

    The requests are seen twice: what the first of an application have in common is known only after
    some of them.
    """
    applications = Applications(most=max(MOST, len(signals)))
    for each in signals:
        applications.of(each)
    return applications.again(signals), applications.known()
