"""Stands for `python -m vllm.entrypoints.openai.api_server` where many engines have to run.

It speaks as much of vLLM's protocol as experts use, and notes what it was asked and what it has
answered to its end in `asked.jsonl` and `finished.jsonl` of its model's folder. A prompt that
begins with `long` or `slow` is answered with as many words as `WORDS` says, ten a second; others
take `DELAY_S`, or what `DELAYS` says: jobs that last long enough for something to happen.
"""

from __future__ import annotations

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

DELAY_S = 0.05
DELAYS = {"bulk": 0.25, "large": 0.25}
WORDS = {"long": 100, "slow": 20}


def option(name: str) -> str:
    """The value of an option."""
    return sys.argv[sys.argv.index(name) + 1]


FOLDER = Path(option("--model"))


class Handler(BaseHTTPRequestHandler):
    """Health, metrics, models and chats."""

    protocol_version = "HTTP/1.1"
    tokens = 0

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        """`/health`, `/metrics` or `/v1/models`."""
        if self.path == "/metrics":
            return self.send(f"vllm:generation_tokens_total{{}} {Handler.tokens}".encode())
        data = [{"id": option("--served-model-name"), "max_model_len": 2048}]
        self.send(json.dumps({"data": data}).encode())

    def do_POST(self) -> None:
        """`/v1/chat/completions`."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Authorization"] != f"Bearer {os.environ['VLLM_API_KEY']}":
            return self.send(b"{}", status=401)
        prompt = str(body["messages"][-1]["content"])
        note("asked", prompt)
        words = [f"{os.getpid()}: {prompt}"]
        words += [f" {n}" for n in range(WORDS.get(prompt.partition(" ")[0], 0))]
        if body.get("stream"):
            self.stream(words)
        else:
            time.sleep(DELAYS.get(prompt.partition(" ")[0], DELAY_S))
            message = {"role": "assistant", "content": "".join(words)}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            usage = {"prompt_tokens": 9, "completion_tokens": 3}
            self.send(json.dumps({"choices": [choice], "usage": usage}).encode())
        note("finished", prompt)

    def stream(self, words: list[str]) -> None:
        """Send a chunk per word."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for word in words:
            Handler.tokens += 1
            self.event({"choices": [{"index": 0, "delta": {"content": word}}]})
            time.sleep(0.1 if len(words) > 1 else DELAY_S)
        self.event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        self.event({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": len(words)}})
        self.chunk(b"data: [DONE]\n\n")
        self.chunk(b"")

    def event(self, chunk: dict[str, Any]) -> None:
        """One server-sent event."""
        self.chunk(f"data: {json.dumps(chunk)}\n\n".encode())

    def chunk(self, data: bytes) -> None:
        """One chunk of the body."""
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def send(self, data: bytes, *, status: int = 200) -> None:
        """A whole body."""
        Handler.tokens += 1
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def note(what: str, prompt: str) -> None:
    """Write a line at once, which `O_APPEND` keeps whole."""
    with (FOLDER / f"{what}.jsonl").open("a") as file:
        file.write(json.dumps({"prompt": prompt, "pid": os.getpid()}) + "\n")


class Server(ThreadingHTTPServer):
    """Takes as many connections as come at once."""

    request_queue_size = 256
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients leave."""


if __name__ == "__main__":
    Server((option("--host"), int(option("--port"))), Handler).serve_forever()
