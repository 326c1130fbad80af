"""The production set-up and the documentation: every name in them exists.

There is no engine to run containers in the tests, so this reads the files instead.
"""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from collegium.cli import cli
from collegium.errors import SettingsError
from collegium.settings import Settings, load_settings
from tests.repository import ROOT, read

SETTINGS = {f"COLLEGIUM_{name.upper()}" for name in Settings.model_fields}
NOT_SETTINGS = {
    "COLLEGIUM_BUILD",  # of scripts/install
    "COLLEGIUM_CONFIG",
    "COLLEGIUM_DATA",
    "COLLEGIUM_ISA",
    "COLLEGIUM_LORA",
    "COLLEGIUM_MOE",
    "COLLEGIUM_SECRETS_DIR",
}
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
VARIABLE = re.compile(r"\bCOLLEGIUM_[A-Z]+(?:_[A-Z]+)*")
SECRET = re.compile(r"KEY|PASSWORD|SECRET|TOKEN")
END_OF_COMMAND = {"|", "&&", "||", ";", "<", ">", "&"}


# --- services ---


def test_the_set_up_has_its_parts(compose: dict[str, Any]) -> None:
    """Two routers behind a balancer, what they share, an expert, and eyes."""
    assert set(compose["services"]) == {
        "balancer", "router-1", "router-2", "expert", "postgres", "redis", "prometheus", "grafana",
    }  # fmt: skip


def test_every_service_can_be_made(compose: dict[str, Any]) -> None:
    """From an image or from our Dockerfile; ours is never looked for elsewhere."""
    for name, service in compose["services"].items():
        assert "image" in service or "build" in service, name
        assert (service["image"] == "collegium") == (service.get("build") == "."), name


def test_public_images_have_versions(compose: dict[str, Any]) -> None:
    """A set-up that changes under one's feet is none."""
    images = [s["image"] for s in compose["services"].values() if "build" not in s]
    assert [image for image in images if not re.search(r":v?\d", image)] == []


def test_what_services_refer_to_is_there(compose: dict[str, Any]) -> None:
    """Networks, volumes and the services that they wait for."""
    for name, service in compose["services"].items():
        assert set(service.get("depends_on", ())) <= set(compose["services"]), name
        assert set(service.get("networks", ())) <= set(compose["networks"]), name
        named = {source for source in mounts(service) if not source.startswith((".", "$"))}
        assert named <= set(compose["volumes"]), name


def test_whoever_is_waited_for_can_say_that_it_is_healthy(compose: dict[str, Any]) -> None:
    """`service_healthy` without a check would wait for ever."""
    services = compose["services"]
    for service in services.values():
        waits = service.get("depends_on", {})
        conditions = waits.items() if isinstance(waits, dict) else ()
        healthy = [name for name, c in conditions if c["condition"] == "service_healthy"]
        assert all("healthcheck" in services[name] for name in healthy)


def test_every_mounted_file_exists(compose: dict[str, Any]) -> None:
    """Else Docker makes a folder in its place."""
    sources = [s for service in compose["services"].values() for s in mounts(service)]
    files = [source for source in sources if source.startswith(".")]
    assert files
    assert [file for file in files if not (ROOT / file).is_file()] == []


def mounts(service: dict[str, Any]) -> list[str]:
    """Return what a service mounts: the part before the path in the container."""
    volumes: list[str] = service.get("volumes", [])
    return [re.sub(r":/[^:}]+(:ro)?$", "", volume) for volume in volumes]


def test_secrets_have_no_defaults(compose: dict[str, Any]) -> None:
    """A secret is a file, or a variable that must be set where no file can be named."""
    text = read("docker-compose.yml")
    variables = re.findall(r"\$\{(\w+)([^}]*)\}", text)
    assert [name for name, rest in variables if SECRET.search(name) and rest[:2] != ":?"] == []
    for service in compose["services"].values():
        for name, value in service.get("environment", {}).items():
            named = value.startswith(("${", "/run/secrets"))
            assert not SECRET.search(name) or named, name


def test_every_secret_is_made_by_the_script(compose: dict[str, Any], tmp_path: Path) -> None:
    """And read by somebody, as a setting where it is the router's; none is the same twice."""
    folder = tmp_path / "secrets"
    command = [sys.executable, str(ROOT / "scripts/compose-secrets"), str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    made = {path.name: path.read_text() for path in folder.iterdir()}
    secrets = compose["secrets"].items()
    files = {name: secret["file"] for name, secret in secrets if name != "metrics_key"}
    assert {f"./secrets/{name}" for name in made} == {*files.values(), "./secrets/expert_api_key"}
    read_ = {name for s in compose["services"].values() for name in s.get("secrets", ())}
    assert read_ == set(compose["secrets"])  # the key for metrics is made by the service
    ours = [name for name in files if name.startswith("collegium_")]
    assert {name.upper() for name in ours} <= SETTINGS
    assert folder.stat().st_mode & 0o777 == 0o700
    again = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (again.returncode, "exists already" in again.stderr) == (1, True)
    assert {path.name: path.read_text() for path in folder.iterdir()} == made
    password = made["postgres_password"].strip()
    assert f":{password}@postgres:5432/" in made["collegium_database_url"]
    assert made["redis_conf"].split()[1] in made["collegium_redis_url"]
    assert "/secrets/" in read(".gitignore")


def test_the_service_reads_its_secrets_from_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment wins; a folder that is not there stops the start."""
    (tmp_path / "collegium_api_key").write_text("from-a-file\n")
    (tmp_path / "collegium_port").write_text("1234\n")
    monkeypatch.setenv("COLLEGIUM_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("COLLEGIUM_PORT", "4321")
    settings = load_settings()
    assert settings.api_key is not None
    assert (settings.api_key.get_secret_value(), settings.port) == ("from-a-file", 4321)
    monkeypatch.setenv("COLLEGIUM_SECRETS_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(SettingsError, match="not a folder"):
        load_settings()


def test_replicas_share_their_state(compose: dict[str, Any]) -> None:
    """Both are the same, and keep only their logs and caches to themselves."""
    first, second = (
        {k: v for k, v in compose["services"][name].items() if k != "volumes"}
        for name in ("router-1", "router-2")
    )
    assert first == second
    assert first["environment"]["COLLEGIUM_EMBEDDED"] == "false"
    assert {"collegium_database_url", "collegium_redis_url"} <= set(first["secrets"])


# --- names of our own ---


@pytest.mark.parametrize("name", ["docker-compose.yml", "Dockerfile"])
def test_every_variable_is_a_setting(name: str) -> None:
    """The service refuses to start with one that is not."""
    named = set(VARIABLE.findall(read(name)))
    assert named
    assert named <= SETTINGS | NOT_SETTINGS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_variable_in_the_documentation_exists(page: Path) -> None:
    """People copy them."""
    assert set(VARIABLE.findall(page.read_text(encoding="utf-8"))) <= SETTINGS | NOT_SETTINGS


def test_the_image_copies_what_exists() -> None:
    """And what is not kept away from Docker."""
    sources = [
        source
        for line in read("Dockerfile").splitlines()
        if line.startswith("COPY ")
        for source in line.split()[1:-1]
    ]
    sent = {line[1:] for line in read(".dockerignore").splitlines() if line.startswith("!")}
    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert set(sources) == sent


def fenced_commands(text: str) -> list[str]:
    """Return every `collegium …` line of a text's blocks, also after another command."""
    text = re.sub(r"\\\n\s*", " ", text)
    fences = re.findall(r"^```(?:sh|console|bash)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for fence in fences for line in fence.splitlines()]
    return [m[1] for line in lines if (m := re.search(r"(?<![\w./=-])(collegium .+)", line))]


def inline_commands(text: str) -> list[str]:
    """Return every `collegium …` in backticks; there an argument may go without saying."""
    return re.findall(r"(?<!`)`(?:\w+=\S+ )*(collegium [^`\n]+)`", text)


def check_command(words: list[str], *, whole: bool = True) -> None:
    """Let click parse a command without running it; after an … only the names are checked."""
    command: click.Command = cli
    rest = words[1:]
    while isinstance(command, click.Group) and rest and rest[0][0] not in "…-":
        found = command.get_command(click.Context(command), rest[0])
        assert found is not None, f"no command {' '.join(words)}"
        command, rest = found, rest[1:]
    if isinstance(command, click.Group) or any("…" in word for word in words):
        return
    try:
        command.make_context(words[-1], list(rest))
    except click.MissingParameter:
        if whole:
            raise
    except click.exceptions.Exit:
        pass  # --help


def words_of(line: str) -> list[str]:
    words = shlex.split(line, comments=True)
    end = next((i for i, word in enumerate(words) if word in END_OF_COMMAND), len(words))
    return words[:end]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_in_the_documentation_parses(page: Path) -> None:
    """By the real command line, options and all."""
    text = page.read_text(encoding="utf-8")
    for line in fenced_commands(text):
        check_command(words_of(line))
    for line in inline_commands(text):
        check_command(words_of(line), whole=False)


def test_every_command_of_the_containers_parses(compose: dict[str, Any]) -> None:
    """The image's own, the services', and those in the comments."""
    image = re.findall(r"^(?:CMD|ENTRYPOINT) (\[.*\])$", read("Dockerfile"), re.MULTILINE)
    commands: list[list[str]] = [json.loads(command) for command in image]
    commands += [s["command"] for s in compose["services"].values() if "command" in s]
    comments = [line for line in read("docker-compose.yml").splitlines() if line.startswith("#")]
    commands += [words_of(m[1]) for c in comments if (m := re.search(r" (collegium [a-z].+)", c))]
    ours = [command for command in commands if command[0] == "collegium"]
    assert ["collegium", "serve"] in ours
    assert any(command[:3] == ["collegium", "expert", "add"] for command in ours)
    for command in ours:
        check_command(command)


@pytest.mark.parametrize(
    "wrong", ["collegium sevre", "collegium serve --prot 1", "collegium expert show"]
)
def test_a_wrong_command_would_be_noticed(wrong: str) -> None:
    """The check itself works."""
    with pytest.raises((AssertionError, click.UsageError)):
        check_command(wrong.split())


def test_the_experts_engine_gets_options_that_we_use_ourselves(compose: dict[str, Any]) -> None:
    """vLLM is not asked here; the supervisor, which is tested with it, passes the same ones."""
    command = compose["services"]["expert"]["command"]
    ours = read("collegium/experts/vllm.py")
    assert command[2] in ours
    options = [word.split("=")[0] for word in command if word.startswith("--")]
    assert [option for option in options if f'"{option}"' not in ours] == []
