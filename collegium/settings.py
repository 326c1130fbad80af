"""All settings, in one frozen object: environment variables over a TOML file over defaults."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings import SettingsError as SourceError

from collegium.errors import SettingsError
from collegium.extensions import extensions
from collegium.extras import default_encoder

CALLER = re.compile(r"[A-Za-z0-9._-]{1,64}")
ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s?#@A-Z]+")

SECRETS_DIR = "COLLEGIUM_SECRETS_DIR"
"""The variable that names a folder with a file for each setting, such as `collegium_api_key`."""

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
    workers: int = Field(
        1,
        ge=1,
        le=64,
        description="Processes that answer requests on this machine. Above 1, another one owns "
        "the engines, learning and bulk jobs.",
    )
    log_format: Literal["text", "json"] = Field(
        "text",
        description="Format of the log on standard error: lines of text, or one JSON object per "
        "line with time, level, logger, message, and the request's, decision's and trace's ids.",
    )
    api_key: SecretStr | None = Field(
        None, min_length=8, description="Key that callers must send as a bearer token."
    )
    caller_keys: dict[str, Annotated[SecretStr, Field(min_length=8)]] = Field(
        {}, description="Further keys, by caller name. They can ask, not change experts."
    )
    data_dir: Path = Field(
        default_factory=lambda: _home("XDG_DATA_HOME", ".local/share"),
        description="Folder for the database and the engines' logs.",
    )
    cache_dir: Path = Field(
        default_factory=lambda: _home("XDG_CACHE_HOME", ".cache"),
        description="Folder for files that can be rebuilt, such as the converted base model.",
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
        description="Also serve the sparse mixture, on a second engine if memory allows.",
    )
    sparse_token_policy: dict[str, Any] | None = Field(
        None,
        description="How the mixture routes its tokens and whether that is counted. Default: as "
        "trained, uncounted.",
    )
    router_dir: Path | None = Field(
        None, description="Folder of a trained router. Default: the bundled router."
    )
    predictor: str | None = Field(
        None,
        description="The single predictor that `router train` fits beside the rates by "
        "application, such as `knn` or `linear`. Default: a stack of five.",
    )
    encoder: str = Field(
        default_factory=default_encoder,
        description="Encoder that turns queries into vectors: `minilm`, `static`, an encoder "
        "from a plugin, or any sentence-transformers model, given as a folder or as OWNER/NAME on "
        "the Hugging Face hub, from which it is downloaded once. It must be the encoder that the "
        "router was fitted on.",
    )
    engine_python: Path = Field(
        Path(sys.executable), description="Python interpreter that has vLLM installed."
    )
    engine_port: Port = Field(0, description="Port of the embedded engine; 0 picks a free port.")
    engine_cache_gib: float = Field(1.0, gt=0, description="Size of the engine's KV cache, GiB.")
    engine_max_sequences: int = Field(
        32, ge=1, description="Number of requests that the engine runs at once."
    )
    engine_context: int = Field(
        2048, ge=256, le=8192, description="Context window of the embedded experts, tokens."
    )
    engine_memory_gib: float | None = Field(
        None,
        gt=0,
        description="Memory for all engines, including the embedded one. If they do not all "
        "fit, the engines of registered models are loaded on demand. Default: all engines stay "
        "loaded.",
    )
    ray_address: str | None = Field(
        None,
        min_length=1,
        description="Ray cluster whose nodes run the engines: `HOST:PORT` of its head, or `auto` "
        "for the one that this machine belongs to. Default: engines run on this machine.",
    )
    ray_min_replicas: int = Field(
        1, ge=1, description="Replicas of each engine that are always there, on a Ray cluster."
    )
    ray_max_replicas: int = Field(
        1, ge=1, le=1024, description="Replicas that an engine may grow to if requests wait."
    )
    ray_idle_s: float = Field(
        300.0, gt=0, description="End a replica that was not needed for this long."
    )
    ray_engine_cpus: float = Field(
        1.0, ge=0, description="CPUs that Ray reserves for each replica on its node."
    )
    wait_penalty: float = Field(
        0.02,
        ge=0,
        le=1,
        description="How much P(correct) to give up to avoid a one-minute wait, where engines "
        "take turns. 0: always the best expert, however long it takes to load.",
    )
    engine_start_timeout_s: float = Field(
        300.0, gt=0, description="Restart an engine that is not ready by then."
    )
    engine_stall_s: float = Field(
        60.0, gt=0, description="Restart a busy engine that produces no token for this long."
    )
    request_timeout_s: float = Field(
        120.0, gt=0, description="Longest wait for the next byte of an expert's answer."
    )
    first_token_timeout_s: float = Field(
        60.0, gt=0, description="Longest wait for the first chunk of a streamed answer."
    )
    queue_depth: int = Field(
        128, ge=1, description="Requests that may wait for one expert; further ones get 429."
    )
    remote_concurrency: int = Field(
        64, ge=1, description="Concurrent requests to one remote endpoint, over all replicas."
    )
    remote_bulk_concurrency: int | None = Field(
        None,
        ge=1,
        description="How many of these a bulk job may use; the rest are for interactive "
        "requests. Default: half.",
    )
    budget_least_tokens: int = Field(
        64,
        ge=1,
        description="Tokens that a budget must be able to pay for; otherwise the request is "
        "refused.",
    )
    budget_fields: tuple[str, ...] = Field(
        (),
        description="Further request fields and types of tools that callers under a dollar limit "
        "may use, because they do not change an answer's price. In the environment, a JSON list. "
        "Default: only those that are known to be billed by tokens.",
    )
    record: Literal["off", "prompts", "full"] = Field(
        "prompts",
        description="What to keep of each request besides its decision, for learning: no text "
        "(`off`), the queries (`prompts`), or whole exchanges with their answers (`full`).",
    )
    redact: str | None = Field(
        None,
        pattern=r"^[\w.]+:\w+$",
        description="Python function `module:function` applied to every text before it is stored.",
    )
    retention_days: float | None = Field(
        None,
        gt=0,
        description="Delete decisions older than this, with texts and feedback. Default: never.",
    )
    record_max_mib: float = Field(
        1024.0,
        gt=0,
        description="Maximum size of recorded exchanges and responses; beyond it the owner who "
        "stores most loses the oldest.",
    )
    online_learning: Literal["off", "shadow", "on"] = Field(
        "off", description="Learn from ratings while serving; `shadow` learns without acting."
    )
    device_watts: float = Field(
        45.0, gt=0, description="Power of the device that runs the experts, to forecast energy."
    )
    session_ttl_s: float = Field(
        3600.0, gt=0, description="How long a conversation keeps its expert after its last query."
    )
    learn_checkers: list[str] = Field(
        [],
        description="Your own checkers that `collegium learn` may run, as "
        "`python:MODULE:FUNCTION`. Their code runs in the service.",
    )
    api_key_variables: tuple[str, ...] = Field(
        ("*_API_KEY",),
        description="Environment variables that experts may name as `api_key_env`; `*` matches "
        "any characters. `COLLEGIUM_…` variables are never allowed. In the environment, a JSON "
        "list.",
    )
    max_connections: int = Field(
        1000,
        ge=10,
        description="Maximum number of open connections. A new connection beyond it closes the "
        "one that has been idle longest. Lowered if the limit on open files is low.",
    )
    header_timeout_s: float = Field(
        10.0, gt=0, description="Longest wait for a request's headers, and between two requests."
    )
    body_timeout_s: float = Field(
        30.0, gt=0, description="Longest wait for a request's body, plus its length / 4 KiB/s."
    )
    write_timeout_s: float = Field(
        60.0, gt=0, description="Longest wait for a client that does not read its answer."
    )
    drain_timeout_s: float = Field(
        30.0, gt=0, description="How long answers in progress may continue after SIGTERM."
    )
    max_answer_mib: float = Field(
        32.0, gt=0, description="Maximum size of an answer; a larger one is the expert's error."
    )
    learn_every: float | None = Field(
        None,
        gt=0,
        description="Hours between learning runs that the service starts by itself on its log. "
        "The router that a run fits is promoted if the run's report supports it. Default: no such "
        "runs.",
    )
    learn_budget_usd: float | None = Field(
        None, gt=0, description="Maximum cost of each such run; required by `learn_every`."
    )
    watch_share: float = Field(
        0.0,
        ge=0,
        le=0.5,
        description="Share of spending used to replay known prompts, to detect experts that got "
        "worse. For experts without a price it is a share of calls. 0: none.",
    )
    model_aliases: dict[str, Annotated[str, Field(min_length=1)]] = Field(
        {},
        description="Alternative model names, or patterns with `*`, mapped to the expert or "
        'virtual model that each stands for, such as `{"claude-*": "auto"}`.',
    )
    max_body_mib: float = Field(
        32.0, gt=0, description="Maximum size of a request body, after decompression."
    )
    cors_origins: tuple[str, ...] = Field(
        (),
        description="Origins of web pages that may use the API from a browser, as "
        '`https://HOST[:PORT]`, or "*" for any. In the environment, a JSON list. Default: no '
        "other origin.",
    )
    keep_files_days: float | None = Field(
        None, gt=0, description="Delete files and finished bulk jobs after this. Default: never."
    )
    keep_files_gib: float | None = Field(
        None, gt=0, description="Total size beyond which the oldest files go. Default: no limit."
    )
    max_file_mib: float = Field(100.0, gt=0, description="Maximum size of a file for a bulk job.")

    response_cache: Literal["off", "caller", "shared"] = Field(
        "off",
        description="Answer repeated requests from a cache: each caller its own (`caller`), or "
        "those of all callers (`shared`).",
    )
    response_cache_ttl_s: float = Field(
        3600.0, gt=0, le=31_536_000, description="How long a cached answer may be given again."
    )
    response_cache_max_mib: float = Field(
        64.0,
        gt=0,
        description="Maximum size of the response cache; the least recently used answers go first.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments win over the environment, then secrets' files, then the TOML file."""
        toml = TomlConfigSettingsSource(settings_cls, toml_file=config_file())
        secrets = SecretsSettingsSource(settings_cls, secrets_dir=os.environ.get(SECRETS_DIR))
        return init_settings, env_settings, secrets, toml

    @model_validator(mode="before")
    @classmethod
    def _former_names(cls, given: Any) -> Any:
        """Say what became of a setting that the file of an earlier version has."""
        for name, now in FORMER.items():
            if isinstance(given, dict) and name in given:
                raise ValueError(f"{name}: {now}")
        return given

    @field_validator("encoder")
    @classmethod
    def _encoder_is_known(cls, name: str) -> str:
        if name == default_encoder():
            return name
        found = extensions()
        if name in found.names("encoder") or "/" in name or Path(name).is_dir():
            return name
        raise ValueError(
            f"there is no encoder '{name}'. Available: {found.offered('encoder')}; or name a "
            "sentence-transformers model by its folder, or as OWNER/NAME on the Hugging Face hub"
        )

    @model_validator(mode="after")
    def _callers_need_an_administrator(self) -> Settings:
        if self.caller_keys and self.api_key is None:
            raise ValueError("caller_keys require an api_key, which is needed to change experts")
        if odd := [name for name in self.caller_keys if not CALLER.fullmatch(name)]:
            raise ValueError(
                f"caller_keys: {odd[0]!r} is not a valid name: use letters, digits, '.', '_', '-'"
            )
        keys = [key.get_secret_value() for key in self.caller_keys.values()]
        if self.api_key is not None:
            keys.append(self.api_key.get_secret_value())
        if len(set(keys)) < len(keys):
            raise ValueError("caller_keys: two callers have the same key, or one has the api_key")
        if "api_key" in self.caller_keys:
            raise ValueError("caller_keys: 'api_key' is the name of the administrator's own key")
        return self

    @field_validator("cors_origins")
    @classmethod
    def _origins_are_exact(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        if odd := [origin for origin in origins if origin != "*" and not ORIGIN.fullmatch(origin)]:
            raise ValueError(
                f"{odd[0]!r} is not an origin: write http://HOST:PORT or https://HOST, in small "
                'letters and without a path, or "*"'
            )
        return origins

    @model_validator(mode="after")
    def _learning_has_a_budget(self) -> Settings:
        if self.learn_every is not None and self.learn_budget_usd is None:
            raise ValueError("learn_every needs learn_budget_usd: what each run may cost")
        return self

    @model_validator(mode="after")
    def _replicas_are_in_order(self) -> Settings:
        if self.ray_min_replicas > self.ray_max_replicas:
            raise ValueError(
                f"ray_min_replicas={self.ray_min_replicas} is more than "
                f"ray_max_replicas={self.ray_max_replicas}"
            )
        if self.ray_address is not None and self.ray_address.startswith("ray://"):
            raise ValueError(
                "ray_address: Ray Client (ray://) is not supported; make this machine a node of "
                "the cluster, with `ray start --address=HEAD:6379 --num-cpus=0`, and use `auto`"
            )
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
    def processes(self) -> int:
        """The processes of this service on this machine: with several workers, also their owner."""
        return 1 if self.workers == 1 else self.workers + 1

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
    secrets = os.environ.get(SECRETS_DIR)
    if secrets and not Path(secrets).is_dir():
        raise SettingsError(f"{SECRETS_DIR} names '{secrets}', which is not a folder")
    _refuse_unknown_variables()
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as exc:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {_said(e)}" for e in exc.errors())
        raise SettingsError(f"wrong settings: {problems} (see docs/settings.md)") from exc
    except SourceError as exc:  # of a variable that is no JSON, which a list or an object has to be
        raise SettingsError(f'{_variable_of(exc)} must be JSON, such as ["a", "b"]') from exc
    except ValueError as exc:  # tomllib.TOMLDecodeError
        raise SettingsError(f"{config_file()}: {exc}") from exc


def _said(error: ErrorDetails) -> str:
    """What is wrong with a value; pydantic counts the items of a secret, and permits inputs."""
    bounds = error.get("ctx", {})
    if error["type"] == "extra_forbidden":
        return "there is no such setting"
    if error["type"] == "too_short" and isinstance(error["input"], str | SecretStr):
        return (
            f"needs at least {bounds['min_length']} characters, and has {bounds['actual_length']}"
        )
    return error["msg"]


def _variable_of(error: SourceError) -> str:
    """The variable whose value can't be parsed, by pydantic-settings' message."""
    found = re.search(r'field "(\w+)"', str(error))
    return f"COLLEGIUM_{found[1].upper()}" if found else "a variable"


# Read elsewhere: by this module, by evals, and by our plugin inside the engine.
_OTHER_VARIABLES = {
    "COLLEGIUM_CONFIG",
    "COLLEGIUM_DATA",
    "COLLEGIUM_ISA",
    "COLLEGIUM_LORA",
    "COLLEGIUM_MOE",
    SECRETS_DIR,
}


def _refuse_unknown_variables() -> None:
    known = {f"COLLEGIUM_{name.upper()}" for name in Settings.model_fields} | _OTHER_VARIABLES
    for name, now in FORMER.items():
        if (variable := f"COLLEGIUM_{name.upper()}") in os.environ:
            raise SettingsError(f"{variable}: {now} (see docs/settings.md)")
    unknown = sorted(v for v in os.environ if v.startswith("COLLEGIUM_") and v not in known)
    if unknown:
        raise SettingsError(f"unknown settings: {', '.join(unknown)} (see docs/settings.md)")
