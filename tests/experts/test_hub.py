"""Downloads from the hub: a real server with the calls that huggingface_hub makes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from collegium.errors import ProbeFailed
from collegium.experts.hub import download

FILES = {
    "config.json": b'{"model_type": "llama"}',
    "model.safetensors": b"weights",
    "pytorch_model.bin": b"a pickle",
    "modeling_tiny.py": b"raise SystemExit",
}
COMMIT = "a" * 40


class Hub(BaseHTTPRequestHandler):
    """One model, `acme/tiny`, and one that is gated."""

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""

    def do_HEAD(self) -> None:
        """A file's size and digest."""
        self.do_GET()

    def do_GET(self) -> None:
        """The list of files, or one."""
        path, _, name = self.path.partition("?")[0], "", self.path.rpartition("/")[2]
        if "gated" in path:
            return self.answer(403, b"", {"X-Error-Code": "GatedRepo"})
        if "acme/tiny" not in path:
            return self.answer(404, b"", {"X-Error-Code": "RepoNotFound"})
        if path.startswith("/api/models/acme/tiny/tree"):
            rows = [
                {"type": "file", "path": f, "size": len(b), "oid": digest(b)}
                for f, b in FILES.items()
            ]
            return self.answer(200, json.dumps(rows).encode(), {"Content-Type": "application/json"})
        if path.startswith("/api/models/"):
            siblings = [{"rfilename": f} for f in FILES]
            body = {"id": "acme/tiny", "sha": COMMIT, "siblings": siblings}
            return self.answer(200, json.dumps(body).encode(), {"Content-Type": "application/json"})
        body_of = FILES[name]
        self.answer(200, body_of, {"ETag": f'"{digest(body_of)}"', "X-Repo-Commit": COMMIT})

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        """Send it; of a HEAD the headers alone."""
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


def digest(body: bytes) -> str:
    return hashlib.sha1(body).hexdigest()


@pytest.fixture
def hub() -> Iterator[str]:
    """Its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_weights_and_configuration_come_and_no_code(hub: str, tmp_path: Path) -> None:
    """Python files and pickles stay where they are."""
    told: list[str] = []
    folder = download("acme/tiny", tmp_path, told.append, endpoint=hub)
    assert folder == tmp_path / "models" / "acme--tiny"
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert files == {name: FILES[name] for name in ("config.json", "model.safetensors")}
    assert "acme/tiny" in told[0]


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("acme/nothing", "no such model, or it is private"),
        ("acme/gated", "is gated: accept its conditions"),
        ("../etc", "give it as ORG/NAME"),
        ("tiny", "give it as ORG/NAME"),
        ("a/b/c", "give it as ORG/NAME"),
    ],
)
def test_what_can_not_be_had_is_told(hub: str, tmp_path: Path, model: str, said: str) -> None:
    """In one line."""
    with pytest.raises(ProbeFailed, match=said):
        download(model, tmp_path, lambda _: None, endpoint=hub)


def test_a_hub_that_does_not_answer_is_told(tmp_path: Path) -> None:
    """The network may be closed."""
    with pytest.raises(ProbeFailed, match="can't be downloaded"):
        download("acme/tiny", tmp_path, lambda _: None, endpoint="http://127.0.0.1:9")


def test_an_interrupted_download_is_no_model(tmp_path: Path) -> None:
    """Without the hub its client returns the folder as it is."""
    folder = tmp_path / "models" / "acme--tiny"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    closed = "http://127.0.0.1:9"
    with pytest.raises(ProbeFailed, match="has no weights in safetensors"):
        download("acme/tiny", tmp_path, lambda _: None, endpoint=closed)
    shards = {"a": "model-1.safetensors", "b": "model-2.safetensors"}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": shards}))
    (folder / "model-1.safetensors").touch()
    with pytest.raises(ProbeFailed, match=r"1 of 2 files are missing, such as model-2"):
        download("acme/tiny", tmp_path, lambda _: None, endpoint=closed)
    (folder / "model-2.safetensors").touch()
    assert download("acme/tiny", tmp_path, lambda _: None, endpoint=closed) == folder
    index.write_text("[]")
    with pytest.raises(ProbeFailed, match=r"index\.json.* can't be read"):
        download("acme/tiny", tmp_path, lambda _: None, endpoint=closed)
