"""A little OpenAI-compatible server on a loopback port; the model's name says how it behaves."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
TOO_LONG = "This model's maximum context length is 2048 tokens. However, you requested 9000."


@dataclass
class ApiServer:
    """Its address, the models it serves and what it was asked."""

    url: str
    models: Sequence[str]
    requests: list[tuple[str, Mapping[str, str], Any]] = field(default_factory=list)
    connections: set[Any] = field(default_factory=set)
    """The clients' ends of the connections that were opened."""
    hung_up: threading.Event = field(default_factory=threading.Event)
    """Set when a client left in the middle of an endless answer."""


@contextmanager
def api_server(models: Sequence[str] = ("tiny",)) -> Iterator[ApiServer]:
    """Serve until the test is done."""
    http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    http.daemon_threads = True
    http.api = ApiServer(  # type: ignore[attr-defined]
        f"http://127.0.0.1:{http.server_port}/v1", models
    )
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield http.api  # type: ignore[attr-defined]
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def api(self) -> ApiServer:
        return self.server.api  # type: ignore[attr-defined, no-any-return]

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        self._note(None)
        rows = [{"id": name, "object": "model"} for name in self.api.models]
        self._json(200, {"object": "list", "data": rows})

    def do_CONNECT(self) -> None:
        """Somebody takes us for a proxy to the internet."""
        self._note(None)
        self._json(403, {"error": {"message": "no way out"}})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._note(body)
        model = body["model"].removeprefix("openai/")
        if model.isdigit():
            return self._json(int(model), {"error": {"message": f"refused with {model}"}})
        if model == "too-long":
            return self._json(400, {"error": {"message": TOO_LONG, "code": 400}})
        if model == "no-images":
            return self._json(400, {"error": {"message": "This model does not support images"}})
        if model == "shapeless":
            return self._json(200, {"object": "chat.completion"})
        if model == "slow":
            time.sleep(3)
        if body.get("stream"):
            return self._stream(model)
        message = {"role": "assistant", "content": f"Hello from {model}"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        self._json(200, _answer("chat.completion", model, choices=[choice], usage=USAGE))

    def _stream(self, model: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            if model == "thinks":
                self._event(_chunk(model, {"role": "assistant", "content": ""}))
                time.sleep(0.6)
            else:
                self._event(_chunk(model, {"role": "assistant", "content": "Hel"}))
            while model == "endless":
                self._event(_chunk(model, {"content": "lo "}))
                time.sleep(0.02)
            if model == "half":
                return
            if model == "error-event":
                return self._event({"error": {"message": "out of memory", "code": 500}})
            self._event(_chunk(model, {"content": "lo"}))
            self._event(_chunk(model, {}, "stop"))
            self._event(_answer("chat.completion.chunk", model, choices=[], usage=USAGE))
            self.wfile.write(b"data: [DONE]\n\n")
        except OSError:
            self.api.hung_up.set()

    def _event(self, data: Mapping[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(data)}\n\n".encode())
        self.wfile.flush()

    def _json(self, status: int, answer: Mapping[str, Any]) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        with suppress(OSError):  # who waited has left
            self.end_headers()
            self.wfile.write(data)

    def _note(self, body: Any) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.api.requests.append((self.path, headers, body))
        self.api.connections.add(self.client_address)


def _chunk(model: str, delta: Mapping[str, Any], finish_reason: str | None = None) -> Any:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return _answer("chat.completion.chunk", model, choices=[choice])


def _answer(kind: str, model: str, **fields: Any) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": model, **fields}
