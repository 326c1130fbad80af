"""nginx as an instant upstream and as a plain reverse proxy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from collegium.evals.bench.gateway.process import HOST, Gateway, program, running
from collegium.experts.vllm import free_port

MODEL = "fixed"
WORDS = ("word",) * 16
USAGE = {"prompt_tokens": 24, "completion_tokens": len(WORDS), "total_tokens": 24 + len(WORDS)}


def completion() -> str:
    """The fixed whole answer."""
    message = {"role": "assistant", "content": " ".join(WORDS)}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return json.dumps({**_base("chat.completion"), "choices": [choice], "usage": USAGE})


def events() -> str:
    """The fixed stream: sixteen words, the end, the usage."""
    base = _base("chat.completion.chunk")
    deltas = [({"role": "assistant", "content": f"{word} "}, None) for word in WORDS]
    choices = [
        [{"index": 0, "delta": delta, "finish_reason": reason}]
        for delta, reason in [*deltas, ({}, "stop")]
    ]
    chunks = [{**base, "choices": c} for c in choices] + [{**base, "choices": [], "usage": USAGE}]
    return "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"


def _base(kind: str) -> dict[str, object]:
    return {"id": "chatcmpl-fixed", "object": kind, "created": 1_760_000_000, "model": MODEL}


@contextmanager
def upstream(folder: Path, *, stream: bool) -> Iterator[Gateway]:
    """nginx that answers every completion at once, whole or as one burst of events."""
    kind, body = ("text/event-stream", events()) if stream else ("application/json", completion())
    quoted = body.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    models = json.dumps({"object": "list", "data": [{"id": MODEL, "object": "model"}]})
    site = f"""
        location /v1/chat/completions {{ default_type {kind}; return 200 '{quoted}'; }}
        location = /v1/models {{ default_type application/json; return 200 '{models}'; }}
        location / {{ default_type application/json; return 200 '{{}}'; }}
    """
    with nginx("upstream", folder, site) as server:
        yield server


@contextmanager
def plain_proxy(folder: Path, target: str) -> Iterator[Gateway]:
    """One nginx worker that passes everything on over kept connections."""
    site = """
        location / {
          proxy_pass http://target; proxy_http_version 1.1; proxy_set_header Connection "";
        }
    """
    address = target.removeprefix("http://").removesuffix("/v1")
    ahead = f"upstream target {{ server {address}; keepalive 64; keepalive_requests 100000000; }}"
    with nginx("nginx", folder, site, ahead) as server:
        yield server


@contextmanager
def nginx(name: str, folder: Path, site: str, ahead: str = "") -> Iterator[Gateway]:
    """One nginx worker on a free port with its files in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port(HOST)
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(f"""
    worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log;
    events {{ worker_connections 4096; }}
    http {{
      {temporary} access_log off; keepalive_requests 100000000; {ahead}
      server {{ listen {HOST}:{port} backlog=4096; {site} }}
    }}
    """)
    command = [program("nginx", "nginx-light"), "-c", f"{folder}/nginx.conf"]
    with running(name, command, folder, port, "/v1/models", {}) as pid:
        yield Gateway(name, f"http://{HOST}:{port}/v1", MODEL, pid)
