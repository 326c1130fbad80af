"""Settings: where each value comes from, and what is said of one that can't be used."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from collegium.errors import SettingsError
from collegium.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Work in an empty folder, without any of our variables."""
    for variable in list(os.environ):
        if variable.startswith(("COLLEGIUM_", "XDG_")):
            monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)


def test_without_anything_the_defaults_hold() -> None:
    """A fresh machine needs no configuration, and serves itself alone."""
    settings = load_settings()
    assert (settings.host, settings.port, settings.embedded) == ("127.0.0.1", 8000, True)
    assert settings.registry_url.endswith("/.local/share/collegium/collegium.sqlite3")


def test_the_file_wins_over_the_default(tmp_path: Path) -> None:
    """`collegium.toml` in the working folder is read unasked."""
    (tmp_path / "collegium.toml").write_text("port = 9000\nembedded = false\n")
    assert (load_settings().port, load_settings().embedded) == (9000, False)


def test_the_environment_wins_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Setting by setting: what the environment does not name comes from the file."""
    (tmp_path / "collegium.toml").write_text('port = 9000\nhost = "::1"\n')
    monkeypatch.setenv("COLLEGIUM_PORT", "9001")
    assert (load_settings().port, load_settings().host) == (9001, "::1")


def test_arguments_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line's options come in as arguments."""
    monkeypatch.setenv("COLLEGIUM_PORT", "9001")
    assert load_settings(port=9002).port == 9002


def test_a_file_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The named file is read instead of the one in the working folder."""
    (tmp_path / "collegium.toml").write_text("port = 9000\n")
    (tmp_path / "other.toml").write_text("port = 9003\n")
    monkeypatch.setenv("COLLEGIUM_CONFIG", str(tmp_path / "other.toml"))
    assert load_settings().port == 9003


def test_a_named_file_that_is_missing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Falling back to the defaults would hide the mistake."""
    monkeypatch.setenv("COLLEGIUM_CONFIG", "missing.toml")
    with pytest.raises(SettingsError, match=r"COLLEGIUM_CONFIG names 'missing\.toml'"):
        load_settings()


def test_an_unknown_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt setting must not be ignored."""
    monkeypatch.setenv("COLLEGIUM_PROT", "9000")
    with pytest.raises(SettingsError, match=r"unknown settings: COLLEGIUM_PROT .*settings\.md"):
        load_settings()


def test_an_unknown_name_in_the_file_is_refused(tmp_path: Path) -> None:
    """Nor in the file."""
    (tmp_path / "collegium.toml").write_text("prot = 9000\n")
    with pytest.raises(SettingsError, match="prot: there is no such setting"):
        load_settings()


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("COLLEGIUM_PORT", "eight", "port: .*valid integer"),
        ("COLLEGIUM_PORT", "70000", "port: .*65535"),
        ("COLLEGIUM_API_KEY", "short", "api_key: needs at least 8 characters, and has 5"),
        ("COLLEGIUM_API_KEY", "", "api_key: .*at least 8"),
        ("COLLEGIUM_EMBEDDED", "perhaps", "embedded: .*valid boolean"),
        ("COLLEGIUM_ENGINE_CONTEXT", "100000", "engine_context: .*8192"),
        ("COLLEGIUM_REQUEST_TIMEOUT_S", "0", "request_timeout_s: .*greater than 0"),
    ],
)
def test_a_wrong_value_is_named_with_its_reason(
    variable: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line says which setting, and what it should be."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=said):
        load_settings()


@pytest.mark.parametrize("content", [b"port = ", b"host = '\xff'", b"[", b"port = 1\nport = 2"])
def test_a_broken_file_is_named(content: bytes, tmp_path: Path) -> None:
    """Bad TOML is the person's mistake, not a traceback."""
    (tmp_path / "collegium.toml").write_bytes(content)
    with pytest.raises(SettingsError, match=r"collegium\.toml"):
        load_settings()


def test_all_wrong_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody likes to mend them one start at a time."""
    monkeypatch.setenv("COLLEGIUM_PORT", "eight")
    monkeypatch.setenv("COLLEGIUM_DEVICE_WATTS", "-1")
    with pytest.raises(SettingsError, match=r"port: .*; device_watts: "):
        load_settings()


def test_secrets_are_not_shown() -> None:
    """Not by repr or str, and not as JSON: that is how they get into logs."""
    settings = load_settings(
        api_key=SecretStr("the-api-key"),
        database_url=SecretStr("postgresql://us:the-password@host/db"),
        redis_url=SecretStr("redis://:the-redis-password@host"),
    )
    for shown in (repr(settings), str(settings), settings.model_dump_json()):
        assert "the-" not in shown
    assert settings.registry_url == "postgresql://us:the-password@host/db"


def test_a_refused_secret_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error message goes to logs as well."""
    monkeypatch.setenv("COLLEGIUM_API_KEY", "s3cr3t")
    with pytest.raises(SettingsError) as error:
        load_settings()
    assert "s3cr3t" not in str(error.value)


@pytest.mark.parametrize("name", ["port", "api_key"])
def test_settings_do_not_change(name: str) -> None:
    """Whoever holds them may rely on them."""
    with pytest.raises(ValidationError, match="frozen"):
        setattr(load_settings(), name, None)


def test_the_folders_follow_the_desktops_conventions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """XDG's variables move the data and the cache."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    settings = load_settings()
    assert settings.data_dir == tmp_path / "data" / "collegium"
    assert settings.cache_dir == tmp_path / "cache" / "collegium"


@pytest.mark.parametrize(("given", "lines"), [({}, 32), ({"remote_concurrency": 1}, 1)])
def test_a_bulk_job_takes_half_of_a_remote_endpoint(given: dict[str, int], lines: int) -> None:
    """And one line at least; the rest is left to people."""
    assert load_settings(**given).bulk_lines_at_once == lines
    assert load_settings(remote_bulk_concurrency=1).bulk_lines_at_once == 1


def test_a_bulk_job_can_not_have_more_than_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting that would be overruled in silence is refused."""
    monkeypatch.setenv("COLLEGIUM_REMOTE_CONCURRENCY", "8")
    monkeypatch.setenv("COLLEGIUM_REMOTE_BULK_CONCURRENCY", "9")
    with pytest.raises(SettingsError, match="more than all of remote_concurrency=8"):
        load_settings()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"ray_address": "ray://head:10001"}, "ray start --address=HEAD:6379"),
        ({"ray_min_replicas": 2}, "ray_min_replicas=2 is more than ray_max_replicas=1"),
    ],
)
def test_a_ray_cluster_that_can_not_be_used_is_refused(given: dict[str, Any], told: str) -> None:
    """With what to do instead."""
    with pytest.raises(SettingsError, match=told):
        load_settings(**given)


KNOWN: dict[str, Any] = {
    "host": "0.0.0.0",
    "port": 9000,
    "api_key": "the-api-key",
    "caller_keys": {"shop": "the-shops-key"},
    "data_dir": "data",
    "cache_dir": "cache",
    "database_url": "postgresql://us:pw@host/db",
    "redis_url": "redis://host",
    "embedded": False,
    "sparse": False,
    "sparse_token_policy": {"top_p": 0.7, "statistics": True},
    "router_dir": "router",
    "encoder": "static",
    "engine_python": "/opt/vllm/bin/python",
    "engine_port": 9001,
    "engine_cache_gib": 2.5,
    "engine_max_sequences": 16,
    "engine_context": 1024,
    "engine_memory_gib": 12.5,
    "wait_penalty": 0.1,
    "engine_start_timeout_s": 200.0,
    "engine_stall_s": 30.0,
    "request_timeout_s": 60.0,
    "first_token_timeout_s": 30.0,
    "queue_depth": 64,
    "remote_concurrency": 32,
    "remote_bulk_concurrency": 8,
    "record": "full",
    "redact": "redactors:names",
    "retention_days": 90.0,
    "record_max_mib": 512.0,
    "online_learning": "shadow",
    "device_watts": 90.5,
    "session_ttl_s": 600.0,
    "max_body_mib": 4.0,
    "max_file_mib": 50.0,
}
"""Every setting of November 2026, none as its default: people have these in their files."""


def plain(value: Any) -> Any:
    """A setting's value as a person writes it."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    return str(value) if isinstance(value, Path) else value


def test_a_file_with_every_known_setting_still_loads(tmp_path: Path) -> None:
    """Each name sets what it always set."""
    tables = {name: value for name, value in KNOWN.items() if isinstance(value, dict)}
    lines = [f"{n} = {json.dumps(v)}" for n, v in KNOWN.items() if n not in tables]
    for name, values in tables.items():
        lines += [f"[{name}]", *(f"{n} = {json.dumps(v)}" for n, v in values.items())]
    (tmp_path / "collegium.toml").write_text("\n".join(lines))
    settings = load_settings()
    assert {name: plain(getattr(settings, name)) for name in KNOWN} == KNOWN


def test_variables_with_every_known_setting_still_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects are JSON, all else is text."""
    for name, value in KNOWN.items():
        text = value if isinstance(value, str) else json.dumps(value)
        monkeypatch.setenv(f"COLLEGIUM_{name.upper()}", text)
    settings = load_settings()
    assert {name: plain(getattr(settings, name)) for name in KNOWN} == KNOWN
    defaults = {name: Settings.model_fields[name].get_default() for name in KNOWN}
    assert [name for name in KNOWN if defaults[name] == KNOWN[name]] == []
