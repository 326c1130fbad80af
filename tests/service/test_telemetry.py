"""`collegium serve` with a collector: what leaves the process, and its log."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from tests.running_service import running_service
from tests.web.telemetry.collector import collecting

pytestmark = pytest.mark.slow
KEY = "the-operators-own-key"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 0,
    "model": "real-1",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "pineapple"},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8},
}


@contextmanager
def upstream(seen: list[dict[str, str]]) -> Iterator[str]:
    """An endpoint that notes the headers of what it is asked, and fails when it is told to."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(200, {"object": "list", "data": [{"id": "real-1", "object": "model"}]})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            seen.append({name.lower(): value for name, value in self.headers.items()})
            if b"please fail" in body:
                self.answer(500, {"error": {"message": 'two\nlines: {"level": "error"}'}})
            else:
                self.answer(200, ANSWER)

        def answer(self, status: int, body: Any) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_real_service_exports_and_logs(tmp_path: Path) -> None:
    """Spans from the caller's to the upstream's, metrics, and nothing but JSON in the log."""
    headers = {"authorization": f"Bearer {KEY}"}
    seen: list[dict[str, str]] = []
    with collecting() as collector, upstream(seen) as url:
        settings = {
            "COLLEGIUM_EMBEDDED": "false",
            "COLLEGIUM_API_KEY": KEY,
            "COLLEGIUM_LOG_FORMAT": "json",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        }
        with (
            running_service(tmp_path, **settings) as service,
            httpx.Client(base_url=service.url, headers=headers, timeout=60) as http,
        ):
            expert = {"name": "real", "kind": "openai", "model": "real-1", "base_url": url}
            assert http.post("/v1/experts", json=expert).status_code == 201
            seen.clear()
            parent = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
            body = {"model": "real", "messages": [{"role": "user", "content": "hello"}]}
            assert http.post("/v1/chat/completions", json=body, headers=parent).is_success
            sent = dict(seen[0])
            body["messages"] = [{"role": "user", "content": "please fail"}]
            failed = http.post("/v1/chat/completions", json=body)
            assert failed.status_code >= 500
            assert "collegium_decisions_total" in http.get("/metrics").text
            began = time.monotonic()
        assert time.monotonic() - began < 20
    (root, _) = collector.named("POST /v1/chat/completions")
    assert (root.trace, root.parent) == (TRACE, PARENT)
    (attempt, _) = collector.named("attempt 1")
    assert attempt.parent == root.id
    assert sent["traceparent"] == f"00-{TRACE}-{attempt.id}-01"
    assert attempt.attributes["gen_ai.usage.output_tokens"] == 5
    assert "pineapple" not in "".join(span.raw for span in collector.spans)
    assert "collegium_decisions" in collector.metrics
    lines = (tmp_path / "serve.log").read_text().splitlines()
    log = [json.loads(line) for line in lines if line != f"{service.url}/"]  # on standard output
    assert any(line.get("request_id") == failed.headers["x-request-id"] for line in log)
    assert {line["level"] for line in log} <= {"warning", "error"}
