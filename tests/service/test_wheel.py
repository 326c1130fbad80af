"""The wheel alone: what `pip install collegium` gives is a gateway and a router that learns."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.repository import ROOT
from tests.servers import free_port
from tests.service.bare_install import BareInstall, install

pytestmark = pytest.mark.slow
MOST_MEGABYTES = 600
"""It took 500 on 29 November; with PyTorch it would be more than 1,200."""
EXPERTS = {"right": "says:42", "wrong": "says:41"}
START_S = 60


@dataclass(frozen=True)
class Served:
    """A service of the bare installation, with two experts."""

    bare: BareInstall
    url: str
    settings: dict[str, str]

    def cli(self, *arguments: str, said: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run `collegium …` of the bare installation."""
        return self.bare.run("collegium", *arguments, said=said, **self.settings)

    def json(self, *arguments: str) -> Any:
        """What a command prints as JSON."""
        done = self.cli(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> BareInstall:
    """The wheel and its dependencies; says what they cost."""
    made = install(tmp_path_factory.mktemp("bare"))
    sys.stderr.write(f"installed in {made.seconds:.0f} s: {made.megabytes:.0f} MB\n")
    return made


@pytest.fixture(scope="module")
def served(bare: BareInstall) -> Iterator[Served]:
    """`collegium serve` without the embedded pool, and two endpoints registered by command."""
    port, upstream = free_port(), free_port()
    settings = {"COLLEGIUM_EMBEDDED": "false", "COLLEGIUM_PORT": str(port)}
    scripted = [sys.executable, "-m", "uvicorn", "tests.service.panel_server:app"]
    server = subprocess.Popen([*scripted, "--port", str(upstream)], cwd=ROOT)
    program = [str(bare.folder / "venv" / "bin" / "collegium"), "serve"]
    log = (bare.folder / "serve.log").open("w")
    service = subprocess.Popen(
        program, cwd=bare.folder / "work", env=bare.environment(**settings), stderr=log
    )
    try:
        wait(f"http://127.0.0.1:{port}/readyz", service)
        wait(f"http://127.0.0.1:{upstream}/v1/models", server)
        made = Served(bare, f"http://127.0.0.1:{port}", settings)
        for name, model in EXPERTS.items():
            url = f"http://127.0.0.1:{upstream}/v1"
            price = ["--input-price", "1", "--output-price", "1"]
            done = made.cli("expert", "add", name, "--url", url, "--model", model, *price)
            assert done.returncode == 0, done.stderr
        yield made
    finally:
        for process in (service, server):
            process.terminate()
            process.wait(timeout=60)
        log.close()


def wait(url: str, process: subprocess.Popen[bytes]) -> None:
    """Return when the server answers."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        assert process.poll() is None, f"{url}: the server ended"
        try:
            if httpx.get(url, timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise TimeoutError(url)


def ask(served: Served, text: str) -> Any:
    """What `auto` answers."""
    body = {"model": "auto", "messages": [{"role": "user", "content": text}]}
    return httpx.post(f"{served.url}/v1/chat/completions", json=body, timeout=60).json()


def test_it_is_light(bare: BareInstall) -> None:
    """Neither PyTorch nor a hub's libraries come along."""
    assert bare.megabytes < MOST_MEGABYTES
    listed = json.loads(bare.run("pip", "list", "--format", "json").stdout)
    names = {package["name"].lower() for package in listed}
    assert names.isdisjoint({"torch", "transformers", "litellm", "matplotlib", "openvino"})
    assert bare.run("pip", "check").returncode == 0


def test_the_wheel_has_every_file_that_is_no_code(bare: BareInstall) -> None:
    """Weights, migrations, pages: all that the checkout has beside its modules."""
    (wheel,) = bare.folder.glob("*.whl")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("collegium/")}
    command = ["git", "ls-files", "collegium"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)
    wanted = {name for name in listed.stdout.splitlines() if not name.endswith(".md")}
    assert wanted - held == set()


def test_auto_is_answered(served: Served) -> None:
    """Over HTTP, by one of the two, read by the static encoder, which the log says once."""
    answer = ask(served, "What is 6 times 7?")
    assert answer["choices"][0]["message"]["content"] in ("41", "42")
    log = (served.bare.folder / "serve.log").read_text()
    assert log.count("Queries are read by the static encoder") == 1
    assert "Traceback" not in log


def test_the_page_is_served(served: Served) -> None:
    """With what it loads."""
    page = httpx.get(served.url, follow_redirects=True)
    assert page.status_code == 200
    assert "<script" in page.text


def test_the_doctor_lists_the_extras(served: Served) -> None:
    """None is installed; only a service with the embedded pool needs one."""
    found = {finding["check"]: finding for finding in served.json("doctor")}
    extras = {check: f for check, f in found.items() if check.startswith("[")}
    assert not any(f["ok"] for f in extras.values())
    assert extras["[litellm]"]["mend"] == 'pip install "collegium[litellm]"'
    assert "static" in found["encoder"]["found"]
    assert [check for check, f in found.items() if f["needed"] and not f["ok"]] == []
    told = served.bare.run("collegium", "doctor").stdout
    assert "or: collegium serve --no-embedded" in told


def test_a_decision_is_explained(served: Served) -> None:
    """By the command, which makes the router as the service does."""
    explained = served.json("router", "explain", "What is 6 times 7?")
    assert {forecast["expert"] for forecast in explained["forecasts"]} == set(EXPERTS)


def test_a_router_is_learnt_from_prompts(served: Served) -> None:
    """It knows afterwards who is right; scikit-learn is in the base for this."""
    prompts = [
        {
            "request": {"messages": [{"role": "user", "content": f"6 times 7, try {n}"}]},
            "reference": "42",
        }
        for n in range(30)
    ]
    file = served.bare.folder / "work" / "prompts.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in prompts))
    learn = ("learn", "--from", file.name, "--budget-usd", "1", "--yes", "--no-race")
    done = served.cli(*learn, "--html", "report.html")
    assert done.returncode == 0, done.stderr
    assert "<html" in (file.parent / "report.html").read_text()
    (run,) = served.json("learn", "list")
    promoted = served.cli("router", "promote", run["router"])
    assert promoted.returncode == 0, promoted.stderr
    deadline = time.monotonic() + START_S
    while (answer := ask(served, "6 times 7, try 99"))["collegium"]["decision"][
        "policy"
    ] == "prior":
        assert time.monotonic() < deadline, answer
        time.sleep(0.2)
    assert answer["model"] == "right"


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        (("expert", "add", "gpt", "--litellm", "openai/gpt"), "litellm"),
        (("serve", "--port", "0", "--embedded"), "embedded"),
        (("bench", "kernels"), "embedded"),
    ],
)
def test_what_needs_an_extra_says_so(served: Served, command: tuple[str, ...], extra: str) -> None:
    """In one line, with the command that installs it."""
    done = served.cli(*command)
    assert done.returncode == 1, done.stdout
    assert len(done.stderr.splitlines()) == 1
    assert f'pip install "collegium[{extra}]"' in done.stderr


def test_a_chosen_encoder_that_is_not_installed_is_refused(bare: BareInstall) -> None:
    """What somebody chose is not replaced."""
    done = bare.run("collegium", "router", "explain", "Hello", COLLEGIUM_ENCODER="minilm")
    assert done.returncode == 1
    assert 'pip install "collegium[encoders]"' in done.stderr


def test_the_service_loads_no_extra(bare: BareInstall) -> None:
    """Nor could it."""
    code = "import collegium.web.app, sys; print(*sys.modules)"
    loaded = set(bare.run("python", "-c", code).stdout.split())
    assert "collegium.web.app" in loaded
    assert loaded.isdisjoint({"torch", "litellm", "matplotlib", "sklearn", "scipy"})
