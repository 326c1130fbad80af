"""All settings, in one frozen object: environment variables over a TOML file over defaults."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from collegium.errors import SettingsError

CALLER = re.compile(r"[A-Za-z0-9._-]{1,64}")

FORMER = {
    "record_prompts": 'it is called `record` now: "off" for false, "prompts" (the default) for true'
}
"""Settings of earlier versions, and what to write instead."""

Port = Annotated[int, Field(ge=0, le=65535)]


def _home(variable: str, default: str) -> Path:
    return Path(os.environ.get(variable) or Path.home() / default) / "collegium"


class Settings(BaseSettings):
    """Each field is a setting: `COLLEGIUM_<NAME>` in the environment, `<name>` in the TOML file."""

    model_config = SettingsConfigDict(env_prefix="COLLEGIUM_", frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="Address that the service listens on.")
    port: Port = Field(8000, description="Port that the service listens on.")
    api_key: SecretStr | None = Field(
        None, min_length=8, description="Callers must send this key as a bearer token."
    )
    caller_keys: dict[str, Annotated[SecretStr, Field(min_length=8)]] = Field(
        {}, description="More keys by their callers' names; they may ask, not change experts."
    )
    data_dir: Path = Field(
        default_factory=lambda: _home("XDG_DATA_HOME", ".local/share"),
        description="Folder of the database and the engines' logs.",
    )
    cache_dir: Path = Field(
        default_factory=lambda: _home("XDG_CACHE_HOME", ".cache"),
        description="Folder of what can be made again: the converted base model.",
    )
    database_url: SecretStr | None = Field(
        None,
        description="SQLAlchemy URL, `postgresql+asyncpg://…` or `sqlite+aiosqlite:///…`. "
        "Default: SQLite in `data_dir`.",
    )
    redis_url: SecretStr | None = Field(
        None, description="Redis for state shared by several replicas. Default: in memory."
    )
    embedded: bool = Field(True, description="Start the embedded pool on a supervised vLLM engine.")
    sparse: bool = Field(
        True,
        description="Also serve the sparse mixture, on a second engine where memory allows.",
    )
    sparse_token_policy: dict[str, Any] | None = Field(
        None,
        description="How the mixture's tokens are routed, and whether that is counted. "
        "Default: as it was trained, uncounted.",
    )
    router_dir: Path | None = Field(
        None, description="Folder of a trained router. Default: the one that ships with us."
    )
    predictor: str | None = Field(
        None,
        description="The one predictor of a query's outcomes that `router train` fits beside the "
        "rates by application, such as `knn` or `linear`; by default a stack of five.",
    )
    encoder: Literal["minilm", "static"] = Field(
        "minilm", description="What turns queries into vectors; the router must be fitted on it."
    )
    engine_python: Path = Field(
        Path(sys.executable), description="Python interpreter that has vLLM."
    )
    engine_port: Port = Field(0, description="Port of the embedded engine; 0 takes a free one.")
    engine_cache_gib: float = Field(1.0, gt=0, description="Memory of the engine's KV cache, GiB.")
    engine_max_sequences: int = Field(32, ge=1, description="Requests the engine runs at once.")
    engine_context: int = Field(
        2048, ge=256, le=8192, description="Context window of the embedded experts, tokens."
    )
    engine_memory_gib: float | None = Field(
        None,
        gt=0,
        description="Memory for engines, the embedded one included; where it is too little for "
        "all, those that experts brought are loaded by demand. Default: all are loaded.",
    )
    wait_penalty: float = Field(
        0.02,
        ge=0,
        le=1,
        description="Chance of being right that a minute's wait is worth, where engines take "
        "turns. 0: the best expert, however long it takes to load.",
    )
    engine_start_timeout_s: float = Field(
        300.0, gt=0, description="An engine that is not ready by then is started again."
    )
    engine_stall_s: float = Field(
        60.0, gt=0, description="An engine with requests that makes no token so long is restarted."
    )
    request_timeout_s: float = Field(
        120.0, gt=0, description="Longest wait for the next byte of an expert's answer."
    )
    first_token_timeout_s: float = Field(
        60.0, gt=0, description="Longest wait for the first chunk of a streamed answer."
    )
    queue_depth: int = Field(
        128, ge=1, description="Requests that may wait for one expert; more are refused (429)."
    )
    remote_concurrency: int = Field(
        64, ge=1, description="Requests a remote endpoint gets at once, all replicas together."
    )
    remote_bulk_concurrency: int | None = Field(
        None,
        ge=1,
        description="How many of these a bulk job may take; the others are left to people. "
        "Default: half of them.",
    )
    record: Literal["off", "prompts", "full"] = Field(
        "prompts",
        description="What is kept of requests beside their decisions, to learn from: no text, the "
        "queries, or whole exchanges with their answers.",
    )
    redact: str | None = Field(
        None,
        pattern=r"^[\w.]+:\w+$",
        description="Python function `module:function` that every text passes before it is kept.",
    )
    retention_days: float | None = Field(
        None,
        gt=0,
        description="Older decisions are deleted, with their texts and feedback. "
        "Default: they are kept.",
    )
    record_max_mib: float = Field(
        1024.0, gt=0, description="Most room for whole exchanges; the oldest are deleted first."
    )
    online_learning: Literal["off", "shadow", "on"] = Field(
        "off", description="Learn from ratings while serving; `shadow` learns, but does not act."
    )
    device_watts: float = Field(
        45.0, gt=0, description="Power of the device that runs the experts, for energy forecasts."
    )
    session_ttl_s: float = Field(
        3600.0, gt=0, description="How long a conversation keeps its expert after its last query."
    )
    learn_checkers: list[str] = Field(
        [],
        description="Checkers of your own that `collegium learn` may run, as "
        "`python:MODULE:FUNCTION`: their code runs in the service.",
    )
    api_key_variables: tuple[str, ...] = Field(
        ("*_API_KEY",),
        description="Environment variables that experts may name as `api_key_env`, with `*` for "
        "any characters; our own, `COLLEGIUM_…`, never. In the environment a JSON list.",
    )
    max_connections: int = Field(
        1000,
        ge=10,
        description="Connections at once; one more takes the place of the one that is idle "
        "for longest. Fewer where the limit of open files is low.",
    )
    header_timeout_s: float = Field(
        10.0, gt=0, description="Longest wait for a request's head, and between two requests."
    )
    body_timeout_s: float = Field(
        30.0, gt=0, description="Longest wait for a request's body, beside its length / 4 KiB/s."
    )
    write_timeout_s: float = Field(
        60.0, gt=0, description="Longest wait for a client that does not read its answer."
    )
    drain_timeout_s: float = Field(
        30.0, gt=0, description="How long answers may go on after SIGTERM before they are ended."
    )
    max_answer_mib: float = Field(
        32.0, gt=0, description="Larger answers of an expert are an error of the expert."
    )
    learn_every: float | None = Field(
        None,
        gt=0,
        description="Hours between two learning runs on the log that the service starts by itself; "
        "what they fit is promoted where its report supports that. Default: none.",
    )
    learn_budget_usd: float | None = Field(
        None, gt=0, description="Dollars that each of these runs may cost; `learn_every` needs it."
    )
    watch_share: float = Field(
        0.0,
        ge=0,
        le=0.5,
        description="Share of the spending that goes into asking known prompts again, to notice "
        "experts that got worse; of the calls where experts have no price. 0: none.",
    )
    max_body_mib: float = Field(8.0, gt=0, description="Larger request bodies are refused.")
    keep_files_days: float | None = Field(
        None, gt=0, description="Files and ended bulk jobs are deleted when older. Default: never."
    )
    keep_files_gib: float | None = Field(
        None, gt=0, description="The oldest files are deleted beyond that. Default: never."
    )
    max_file_mib: float = Field(100.0, gt=0, description="Larger files of bulk jobs are refused.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments win over the environment, the environment over the file."""
        toml = TomlConfigSettingsSource(settings_cls, toml_file=config_file())
        return init_settings, env_settings, toml

    @model_validator(mode="before")
    @classmethod
    def _former_names(cls, given: Any) -> Any:
        """Say what became of a setting that the file of an earlier version has."""
        for name, now in FORMER.items():
            if isinstance(given, dict) and name in given:
                raise ValueError(f"{name}: {now}")
        return given

    @model_validator(mode="after")
    def _callers_need_an_administrator(self) -> Settings:
        if self.caller_keys and self.api_key is None:
            raise ValueError("caller_keys need an api_key, for who may change experts")
        if odd := [name for name in self.caller_keys if not CALLER.fullmatch(name)]:
            raise ValueError(
                f"caller_keys: {odd[0]!r} is no name: use letters, digits, '.', '_' and '-'"
            )
        keys = [key.get_secret_value() for key in self.caller_keys.values()]
        if self.api_key is not None:
            keys.append(self.api_key.get_secret_value())
        if len(set(keys)) < len(keys):
            raise ValueError("caller_keys: two callers have the same key, or one has the api_key")
        if "api_key" in self.caller_keys:
            raise ValueError("caller_keys: 'api_key' is the name of the administrator's own key")
        return self

    @model_validator(mode="after")
    def _learning_has_a_budget(self) -> Settings:
        if self.learn_every is not None and self.learn_budget_usd is None:
            raise ValueError("learn_every needs learn_budget_usd: what each run may cost")
        return self

    @model_validator(mode="after")
    def _bulk_jobs_take_a_part(self) -> Settings:
        if (self.remote_bulk_concurrency or 1) > self.remote_concurrency:
            raise ValueError(
                f"remote_bulk_concurrency={self.remote_bulk_concurrency} is more than all of "
                f"remote_concurrency={self.remote_concurrency}, of which it is a part"
            )
        return self

    @property
    def bulk_lines_at_once(self) -> int:
        """The lines of a bulk job that one remote endpoint gets at once."""
        return self.remote_bulk_concurrency or max(1, self.remote_concurrency // 2)

    @property
    def registry_url(self) -> str:
        """The database's URL with its default filled in."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite+aiosqlite:///{self.data_dir / 'collegium.sqlite3'}"


def config_file() -> Path:
    """The TOML file: `COLLEGIUM_CONFIG`, or `collegium.toml` in the working folder."""
    return Path(os.environ.get("COLLEGIUM_CONFIG", "collegium.toml"))


def load_settings(**overrides: object) -> Settings:
    """Read the settings; say which is wrong and why, and name unknown `COLLEGIUM_` variables."""
    named = os.environ.get("COLLEGIUM_CONFIG")
    if named and not Path(named).is_file():
        raise SettingsError(f"COLLEGIUM_CONFIG names '{named}', which is not a file")
    _refuse_unknown_variables()
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as exc:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in exc.errors())
        raise SettingsError(f"wrong settings: {problems} (see docs/settings.md)") from exc
    except ValueError as exc:  # tomllib.TOMLDecodeError
        raise SettingsError(f"{config_file()}: {exc}") from exc


# Read elsewhere: by this module, by evals, and by our plugin inside the engine.
_OTHER_VARIABLES = {
    "COLLEGIUM_CONFIG",
    "COLLEGIUM_DATA",
    "COLLEGIUM_ISA",
    "COLLEGIUM_LORA",
    "COLLEGIUM_MOE",
}


def _refuse_unknown_variables() -> None:
    known = {f"COLLEGIUM_{name.upper()}" for name in Settings.model_fields} | _OTHER_VARIABLES
    for name, now in FORMER.items():
        if (variable := f"COLLEGIUM_{name.upper()}") in os.environ:
            raise SettingsError(f"{variable}: {now} (see docs/settings.md)")
    unknown = sorted(v for v in os.environ if v.startswith("COLLEGIUM_") and v not in known)
    if unknown:
        raise SettingsError(f"unknown settings: {', '.join(unknown)} (see docs/settings.md)")
