"""The audit log of administrative changes: who changed what, when, from where, and the result.

One JSON object a line in `logs/audit.jsonl` of the data folder; the newest 50 MB are kept.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from collegium.private_files import private_folder, private_opener
from collegium.settings import Settings

log = logging.getLogger(__name__)
ANSWERING = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/messages",
    "/v1/embeddings",
    "/v1/rerank",
    "/v1/route",
)
"""Paths of requests to models, and of the responses that were stored for their callers."""
OF_CALLERS = ("/v1/feedback", "/v1/files", "/v1/batches")
"""Paths of ratings, files and bulk jobs: what a caller does with its own."""
READING = ("GET", "HEAD", "OPTIONS")
MOST_BYTES, KEPT_FILES = 10 * 2**20, 4
LONGEST_BODY = 4096


def is_administrative(scope: Scope) -> bool:
    """Whether a request would change what an operator is responsible for.

    That is every change in the API, also by routes that are yet to come, but those of callers.
    """
    method, path = scope["method"], scope["path"]
    if method in READING or not _is_below(path, ("/v1",)):
        return False
    return not _is_below(path, (*ANSWERING, *OF_CALLERS))


def _is_below(path: str, parents: tuple[str, ...]) -> bool:
    return path in parents or path.startswith(tuple(f"{parent}/" for parent in parents))


def audit_of(settings: Settings) -> Audit:
    """The audit log of the settings' data folder."""
    return Audit(settings.data_dir / "logs" / "audit.jsonl")


class Audit:
    """The file, opened with the first record."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handler: RotatingFileHandler | None = None

    def watched(self, app: ASGIApp, caller: str) -> ASGIApp:
        """The application, which records the request when its answer begins.

        Not where no endpoint is: a mistyped path may have come with a prompt.
        """

        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            body = bytearray()

            async def received() -> Message:
                message = await receive()
                if len(body) < LONGEST_BODY:
                    body.extend(message.get("body", b""))
                return message

            async def sent(message: Message) -> None:
                if message["type"] == "http.response.start" and not _found_nothing(scope, message):
                    self.record(scope, caller, message["status"], bytes(body[:LONGEST_BODY]))
                await send(message)

            await app(scope, received, sent)

        return watched

    def record(self, scope: Scope, caller: str, status: int, body: bytes) -> None:
        """Write one line."""
        client = scope.get("client")
        entry = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "caller": caller,
            "address": client[0] if client else None,
            "method": scope["method"],
            "path": scope["path"],
            "query": scope["query_string"].decode(errors="replace"),
            "body": body.decode(errors="replace"),
            "status": status,
        }
        try:
            self._opened().handle(
                logging.LogRecord("audit", logging.INFO, "", 0, json.dumps(entry), None, None)
            )
        except OSError as exc:
            log.error("a change is not recorded in %s: %s", self._path.name, exc.strerror)

    def close(self) -> None:
        """Close the file; the next record opens it again."""
        if self._handler is not None:
            self._handler.close()
            self._handler = None

    def _opened(self) -> RotatingFileHandler:
        if self._handler is None:
            private_folder(self._path.parent)
            self._handler = _PrivateFile(
                self._path, maxBytes=MOST_BYTES, backupCount=KEPT_FILES, delay=True
            )
        return self._handler


def _found_nothing(scope: Scope, answer: Message) -> bool:
    """Whether no route has the path, or none with the method."""
    status = answer["status"]
    return status == 405 or (status == 404 and "endpoint" not in scope)


class _PrivateFile(RotatingFileHandler):
    """A file that only its owner reads."""

    def _open(self):  # type: ignore[no-untyped-def]  # its type is private to logging
        return open(self.baseFilename, "a", encoding="utf-8", opener=private_opener)
