"""One known application, and whether a request belongs to it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from collegium.registry.application import Application, Signature
from collegium.router.applications.fingerprint import READ, SIZE, Fingerprint, of_signature

RIPE = 4
"""Different texts after which what recurs in them is known."""
RECURS = 0.6
"""Share of an application's texts that a run of words has to be in to count as recurring."""
FORGETS = 64
"""Texts after which the older half of the evidence is dropped, so that prompts may change."""
ALIKE_NAMES = 0.5
"""Jaccard similarity of tool names, or of a schema's fields, within one application."""
SAME_ROLE = 0.8
BESIDES = 8
"""Shingles that have to be shared beside the role: many an expert is a Python engineer."""
WITHOUT_ROLE = 20
"""Shingles that must be shared if neither text states a role."""


@dataclass(eq=False)
class Known:
    """What recurs in the texts of one application, and how often."""

    application: Application
    shingles: Signature
    counts: NDArray[np.int32]
    role: Signature
    tools: Signature
    schema: Signature
    texts: int = 1
    unsaved: int = 0
    """Requests since its count was last kept."""
    bound: int = field(init=False)
    """The largest shingle hash that its sketch can hold."""

    def __post_init__(self) -> None:
        self.bound = int(self.shingles[-1]) if self.shingles.size >= SIZE // 2 else 2**64 - 1

    @classmethod
    def first(cls, application: Application, seen: Fingerprint) -> Known:
        """An application of which one text was seen."""
        kept = seen.shingles[:SIZE]
        counts = np.ones(kept.size, dtype=np.int32)
        return cls(application, kept, counts, seen.role, seen.tools, seen.schema)

    @classmethod
    def of(cls, application: Application) -> Known:
        """An application as it was kept."""
        kept = of_signature(application.signature)
        known = cls.first(application, kept)
        known.texts = min(max(application.variants, 1), FORGETS // 2)
        known.counts[:] = known.texts
        return known

    @property
    def ripe(self) -> bool:
        """Whether it is known what recurs."""
        return self.texts >= RIPE

    @property
    def core(self) -> Signature:
        """The shingles that recur; all, as long as there was one text."""
        return self.shingles[self.counts > RECURS * self.texts] if self.texts > 1 else self.shingles

    @property
    def key(self) -> str:
        """The application's key."""
        return self.application.key

    @property
    def fingerprint(self) -> Fingerprint:
        """The fingerprint of what recurs in its requests."""
        return Fingerprint(self.core, self.role, self.tools, self.schema)

    def snapshot(self) -> Application:
        """The application as it is now."""
        return replace(self.application, signature=self.fingerprint.signature, variants=self.texts)

    def saw(self, at: datetime) -> None:
        """Count a request."""
        self.unsaved += 1
        self.application = replace(self.application, seen=self.application.seen + 1, last_seen=at)

    def add(self, seen: Fingerprint) -> None:
        """Count what recurs in one more text."""
        self.texts += 1
        within = seen.shingles[seen.shingles <= np.uint64(self.bound)]
        at, there = _places(self.shingles, within)
        self.counts[at[there]] += 1
        if self.texts <= RIPE:
            self._take(within[~there])
        if self.texts == RIPE:
            self._keep(self.counts > 1)
        if not self.role.size and self.texts <= RIPE:
            self.role = seen.role
        if self.texts >= FORGETS:
            self.texts //= 2
            self.counts //= 2
            self._take(within[~there])
            self._keep((self.counts > 0.25 * self.texts) | (self.counts == 1))

    def _take(self, new: Signature) -> None:
        if new.size and self.shingles.size < 2 * SIZE:
            merged = np.concatenate((self.shingles, new[: 2 * SIZE - self.shingles.size]))
            counts = np.concatenate((self.counts, np.ones(merged.size - self.shingles.size)))
            order = np.argsort(merged)
            self.shingles, self.counts = merged[order], counts[order].astype(np.int32)

    def _keep(self, which: NDArray[np.bool_]) -> None:
        if which.any():
            self.shingles, self.counts = self.shingles[which], self.counts[which]


def belongs(known: Known, seen: Fingerprint, common: Signature) -> float:
    """Return the confidence that a request belongs to an application; 0 if it doesn't.

    `common` are shingles of the request that belong to several applications: boilerplate.
    """
    tools = _alike(known.tools, seen.tools)
    if not _alike(known.schema, seen.schema) or (
        not tools and known.tools.size and seen.tools.size
    ):
        return 0.0
    if not known.shingles.size or not seen.shingles.size:
        return float(tools and known.shingles.size == seen.shingles.size)
    shared, contained = _containment(known, seen, common)
    needed = max(_needed(known, seen, shared), 0.0 if tools else 0.6)
    return contained if contained >= needed else 0.0


def _containment(known: Known, seen: Fingerprint, common: Signature) -> tuple[int, float]:
    """The shingles in both, and the larger share of the one that is in the other.

    What is compared is the part of both sketches that each of them could hold.
    """
    bound = known.bound
    if seen.shingles.size >= READ:
        bound = min(bound, int(seen.shingles[-1]))
    core, here = known.core, seen.shingles
    core, here = core[core <= np.uint64(bound)], here[here <= np.uint64(bound)]
    weights, weights_here = _weights(core, common), _weights(here, common)
    at, there = _places(core, here)
    both = float(weights[at[there]].sum())
    of_known = both / max(float(weights.sum()), 1e-9)
    of_seen = both / max(float(weights_here.sum()), 1e-9)
    return int(there.sum()), of_known if known.ripe else max(of_known, of_seen)


def _needed(known: Known, seen: Fingerprint, shared: int) -> float:
    """Return the containment required for a match.

    The same role needs little beside it, for memory may be four fifths of a prompt; different
    roles need nearly all the rest to be the same, as where a user's name is part of the role.
    """
    otherwise = 0.6 if known.ripe else 0.45
    if not known.role.size and not seen.role.size:
        return 0.15 if shared >= WITHOUT_ROLE and not known.ripe else otherwise
    if not known.role.size or not seen.role.size:
        return otherwise
    same = np.intersect1d(known.role, seen.role, assume_unique=True).size
    if same < SAME_ROLE * (known.role.size + seen.role.size - same):
        return 0.9
    return (0.4 if known.ripe else 0.16) if shared - same >= BESIDES else otherwise


def _weights(shingles: Signature, common: Signature) -> NDArray[np.float64]:
    weights = np.ones(shingles.size)
    if common.size:
        at, there = _places(shingles, common)
        weights[at[there]] = 0.1
    return weights


def _alike(one: Signature, other: Signature) -> bool:
    if not one.size and not other.size:
        return True
    if not one.size or not other.size:
        return False
    shared = np.intersect1d(one, other, assume_unique=True).size
    return bool(shared / (one.size + other.size - shared) >= ALIKE_NAMES)


def _places(where: Signature, what: Signature) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return the positions of `what` in the sorted `where`, and which of them are present."""
    if not where.size:
        return np.zeros(what.size, dtype=np.intp), np.zeros(what.size, dtype=bool)
    at = np.minimum(np.searchsorted(where, what), where.size - 1)
    return at, where[at] == what
