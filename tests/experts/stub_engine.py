"""A stand-in for vLLM's server that starts in no time and misbehaves on request.

`python stub_engine.py PORT FOLDER`: a file in FOLDER changes what it does. `crash` ends it while
it starts, `never` keeps it from ever being ready, `hang` lets it take connections and be silent,
`frozen` lets it be well and answer no chat, `restless` refuses to sleep or wake, `stubborn` lets it
ignore SIGTERM, `family` starts a process of its own, whose id it writes there.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PORT, FOLDER = int(sys.argv[1]), Path(sys.argv[2])


def wants(what: str) -> bool:
    """Whether the test asked for this."""
    return (FOLDER / what).exists()


def made() -> str:
    """What was ever asked: it stands for the tokens."""
    return (FOLDER / "requests").read_text() if wants("requests") else ""


class Handler(BaseHTTPRequestHandler):
    """Health, a chat that never changes, adapters that are always taken, and a way to die."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        """`/health`, or `/die`."""
        if self.path == "/die":
            os._exit(7)
        while wants("hang"):
            time.sleep(0.05)
        if self.path == "/metrics":
            return self.answer(200, f"vllm:generation_tokens_total{{}} {len(made())}", text=True)
        self.answer(503 if wants("never") else 200, {})

    def do_POST(self) -> None:
        """`/v1/load_lora_adapter` or `/v1/chat/completions`, for who knows the secret."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or "null")
        if self.headers["Authorization"] != f"Bearer {os.environ['VLLM_API_KEY']}":
            return self.answer(401, {"error": {"message": "no key"}})
        with (FOLDER / "requests").open("a") as file:
            file.write(json.dumps([self.path, body]) + "\n")
        path, _, query = self.path.partition("?")
        if path in ("/sleep", "/wake_up", "/collective_rpc"):
            return self.rest(path, query)
        if wants("asleep"):
            return self.answer(500, {"error": {"message": "it sleeps"}})
        while wants("frozen") and "lora" not in self.path:
            time.sleep(0.05)
        if self.path == "/v1/unload_lora_adapter":
            return self.answer(200, {})
        if self.path == "/v1/load_lora_adapter":
            if wants("no-adapters"):
                return self.answer(400, {"error": {"message": "no such adapter"}})
            return self.answer(200, {})
        message = {"role": "assistant", "content": f"I am {os.getpid()}"}
        if body.get("stream"):
            return self.stream(
                {"choices": [{"index": 0, "delta": message}]},
                {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
                {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3}},
            )
        self.answer(200, {"model": body["model"], "choices": [{"message": message}]})

    def rest(self, path: str, query: str) -> None:
        """Sleep or wake as vLLM does: awake again when all memory is back."""
        if wants("restless"):
            return self.answer(500, {"error": {"message": "no such thing here"}})
        if path == "/sleep":
            (FOLDER / "asleep").touch()
        elif path == "/wake_up" and query in ("", "tags=kv_cache"):
            (FOLDER / "asleep").unlink()
        self.answer(200, {})

    def stream(self, *chunks: object) -> None:
        """Send events, and the end of the stream."""
        events = [*map(json.dumps, chunks), "[DONE]"]
        data = "".join(f"data: {event}\n\n" for event in events).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def answer(self, status: int, body: object, *, text: bool = False) -> None:
        """Send JSON, or text."""
        data = str(body).encode() if text else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def main() -> None:
    """Serve, or do not."""
    (FOLDER / "asleep").unlink(missing_ok=True)
    if wants("crash"):
        sys.exit("ValueError: these are no weights")
    if wants("stubborn"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if wants("family"):
        child = subprocess.Popen(["sleep", "600"])
        (FOLDER / "family").write_text(str(child.pid))
    print("stub engine", flush=True)  # noqa: T201
    ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()


if __name__ == "__main__":
    main()
