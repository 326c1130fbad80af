"""A cache of prompt vectors on disk, keyed by encoder and text."""

import hashlib
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from collegium.errors import SetupError
from collegium.evals.core.arrays import Floats
from collegium.evals.core.progress import progress_bar
from collegium.router.features import SurfaceEncoder
from collegium.router.vectors import Encoder

BATCH = 256
"""Texts that are encoded and kept at a time: an interrupted run loses no more."""
FILE = "embeddings.sqlite3"
VECTORS = 2
"""A number of its own whenever an encoder's vectors change: 2 since OpenVINO computes MiniLM's."""
TABLE = "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL)"


class EmbeddingCache:
    """Vectors in one SQLite file, which many processes may share."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE

    def encode(self, encoder: Encoder, texts: Sequence[str], *, progress: bool = True) -> Floats:
        """Return one row a text, shape (n, d); only texts that are not on disk are encoded."""
        if isinstance(encoder, SurfaceEncoder):  # its features cost little: they are made anew
            inner = self.encode(encoder.inner, texts, progress=progress)
            return np.asarray(encoder.beside(inner.astype(np.float32), texts), dtype=np.float64)
        with closing(self._open()) as file:
            keys = [key(encoder.name, text) for text in texts]
            found = self._read(file, set(keys))
            missing = {k: text for k, text in zip(keys, texts, strict=True) if k not in found}
            for batch in _batches(list(missing), progress=progress, name=encoder.name):
                vectors = encoder.encode([missing[k] for k in batch]).astype(np.float32)
                new = [(k, vector.tobytes()) for k, vector in zip(batch, vectors, strict=True)]
                with file:
                    file.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", new)
                found.update(new)
        table = np.frombuffer(b"".join(found[k] for k in keys), dtype=np.float32)
        return table.reshape(len(keys), -1).astype(np.float64)

    def _open(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = sqlite3.connect(self.path, timeout=60)
            file.execute("PRAGMA journal_mode=WAL")
            file.execute(TABLE)
        except (OSError, sqlite3.Error) as exc:
            raise SetupError(
                f"the cache of embeddings at '{self.path}' can't be opened ({exc}); delete it, or "
                "choose another folder with COLLEGIUM_CACHE_DIR"
            ) from exc
        return file

    @staticmethod
    def _read(file: sqlite3.Connection, keys: set[bytes]) -> dict[bytes, bytes]:
        found = {}
        for wanted in keys:
            row = file.execute("SELECT vector FROM vectors WHERE key = ?", (wanted,)).fetchone()
            if row is not None:
                found[wanted] = row[0]
        return found


class CachedEncoder:
    """An encoder whose vectors are kept on disk."""

    def __init__(self, inner: Encoder, cache: EmbeddingCache, *, progress: bool = True) -> None:
        self.name = inner.name
        self._inner = inner
        self._cache = cache
        self._progress = progress

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one row a text, shape (n, dimensions)."""
        found = self._cache.encode(self._inner, texts, progress=self._progress)
        return found.astype(np.float32)


def key(encoder: str, text: str) -> bytes:
    """Return what a text is found by: its content, and who encoded it."""
    return hashlib.sha256(f"{encoder}\0{VECTORS}\0{text}".encode(errors="surrogatepass")).digest()


def _batches(items: list[bytes], *, progress: bool, name: str) -> Iterable[list[bytes]]:
    with progress_bar(len(items) if progress else 0, f"Encoding prompts ({name})") as bar:
        for start in range(0, len(items), BATCH):
            batch = items[start : start + BATCH]
            yield batch
            bar.update(len(batch))
