"""An inverted index from shingle hashes to the applications that contain them."""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b

import numpy as np

from collegium.registry.application import Signature
from collegium.router.applications.fingerprint import Fingerprint
from collegium.router.applications.known import Known

INDEXED = 48
"""Shingles of an application that are looked up: with a fifth of them in a request, 9 are met."""
LOOKED_UP = 64
"""Shingles of a request that are looked up."""
CROWD = 16
"""The maximum number of applications per hash; hashes shared by more are not distinctive."""
CANDIDATES = 6
WORTH_A_LOOK = 4
"""Candidates sharing less than this fraction of the first candidate's hashes are dropped."""
COMMON = 3
"""Runs of words shared by at least this many applications are boilerplate."""
_CELLS = 22


class Index:
    """Leads from numbers to applications, in a time that does not depend on how many there are."""

    def __init__(self) -> None:
        self._postings: dict[int, list[Known]] = {}
        self._indexed: dict[str, list[int]] = {}
        self._counted: dict[str, Signature] = {}
        self._applications = np.zeros(1 << _CELLS, dtype=np.uint16)

    def put(self, known: Known) -> None:
        """Index an application, in place of what was indexed of it before."""
        self.remove(known)
        salt = _salt(known.application.tenant)
        numbers = np.concatenate((known.core[:INDEXED], known.role, known.tools, known.schema))
        self._indexed[known.key] = kept = []
        for number in (numbers ^ salt).tolist():
            found = self._postings.setdefault(number, [])
            if len(found) < CROWD:
                found.append(known)
                kept.append(number)
        if known.ripe:
            self._counted[known.key] = cells = _cells(known.core, salt)
            self._applications[cells] += 1

    def remove(self, known: Known) -> None:
        """Forget an application."""
        for number in self._indexed.pop(known.key, ()):
            found = self._postings[number]
            found.remove(known)
            if not found:
                del self._postings[number]
        cells = self._counted.pop(known.key, None)
        if cells is not None:
            self._applications[cells] -= 1

    def candidates(self, seen: Fingerprint, tenant: str) -> list[Known]:
        """The applications that share most with a request, the role's words counting four times."""
        salt, votes = _salt(tenant), dict[Known, int]()
        crowded: list[list[Known]] = []
        told = ((seen.shingles[:LOOKED_UP], 1), (seen.role, 4), (seen.tools, 2), (seen.schema, 1))
        for numbers, weight in told:
            for number in (numbers ^ salt).tolist():
                found = self._postings.get(number)
                if found is None:
                    continue
                if len(found) == CROWD:
                    crowded.append(found)
                    continue
                for known in found:
                    votes[known] = votes.get(known, 0) + weight
        if not votes:
            votes = Counter(known for found in crowded for known in found)
        least = max(votes.values(), default=0) / WORTH_A_LOOK
        ranked = sorted((k for k in votes if votes[k] >= least), key=votes.__getitem__)
        return [k for k in ranked[: -CANDIDATES - 1 : -1] if k.application.tenant == tenant]

    def common(self, seen: Fingerprint, tenant: str) -> Signature:
        """The shingles of a request that several applications have."""
        cells = _cells(seen.shingles, _salt(tenant))
        return seen.shingles[self._applications[cells] >= COMMON]


def _cells(shingles: Signature, salt: np.uint64) -> Signature:
    return (shingles ^ salt) >> np.uint64(64 - _CELLS)


def _salt(tenant: str) -> np.uint64:
    """Return the salt that separates tenants' hashes and keeps their kinds."""
    if not tenant:
        return np.uint64(0)
    digest = blake2b(tenant.encode("utf-8", "replace"), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "little") & ~3)
