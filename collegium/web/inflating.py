"""Inflate compressed request bodies, up to the maximum size of a body."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator

from collegium.errors import BadRequest

AT_ONCE = 2**20
"""Bytes that are inflated before others have their turn: a few milliseconds."""
ZLIB, GZIP, RAW = zlib.MAX_WBITS, zlib.MAX_WBITS | 16, -zlib.MAX_WBITS
FORMATS = {"gzip": GZIP, "x-gzip": GZIP, "deflate": ZLIB}


class UnknownEncoding(BadRequest):
    """The body is compressed in a way that isn't read here."""

    http_status = 415
    code = "unsupported_encoding"


class Inflation:
    """One body that is inflated in pieces."""

    def __init__(self, encoding: str) -> None:
        if encoding not in FORMATS:
            raise UnknownEncoding(
                f"A body with `Content-Encoding: {encoding[:40]}` can't be read: send it as it is, "
                "or compressed by gzip or deflate",
                "content-encoding",
            )
        self._encoding = encoding
        self._format = FORMATS[encoding]
        self._inflate: zlib._Decompress | None = None

    async def of(self, data: bytes, *, last: bool) -> AsyncIterator[bytes]:
        """Inflate a piece of the body, in pieces of a bounded size."""
        if self._inflate is None and data:
            self._inflate = zlib.decompressobj(self._wbits(data))
        if self._inflate is None:  # an empty body
            return
        while data:
            if self._inflate.eof:
                raise self._wrong("unexpected data follows its end")
            yield self._piece(self._inflate, data)
            data = self._inflate.unconsumed_tail or self._inflate.unused_data
            await asyncio.sleep(0)
        while last and not self._inflate.eof:
            if not (piece := self._piece(self._inflate, b"")):
                raise self._wrong("it is truncated")
            yield piece

    def _piece(self, inflate: zlib._Decompress, data: bytes) -> bytes:
        try:
            return inflate.decompress(data, AT_ONCE)
        except zlib.error as exc:
            raise self._wrong("it is damaged") from exc

    def _wbits(self, data: bytes) -> int:
        """Detect the kind of `deflate`: with the zlib header that the standard requires, or raw."""
        if self._format == ZLIB and (data[0] & 0x0F != 8 or data[0] >> 4 > 7):
            return RAW
        return self._format

    def _wrong(self, why: str) -> BadRequest:
        return BadRequest(f"The body can't be inflated as {self._encoding}: {why}")
