"""`collegium expert …`: register, show and change experts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from collegium.cli.expert_tokens import token_policy, tokens
from collegium.cli.output import json_option, print_json, print_table

if TYPE_CHECKING:
    from collegium.registry.expert import Expert

PRICES = "dollars per million tokens"
ENGINE_OPTIONS = (
    click.option(
        "--dtype",
        type=click.Choice(["bfloat16", "float16", "float32"]),
        help="The engine's numbers; by default the fastest of this processor.",
    ),
    click.option("--max-sequences", type=int, help="Requests it runs at once."),
    click.option("--cache-gib", type=float, help="Memory of the engine's KV cache on a CPU, GiB."),
    click.option("--device", help="Numbers of the GPUs that the engine may see."),
    click.option("--lora-slots", type=int, help="Adapters in one batch; 0: none."),
    click.option(
        "--sleep-level",
        type=int,
        help="On a GPU, sleep instead of stopping when another engine needs the memory.",
    ),
    click.option(
        "--token-policy",
        metavar="JSON",
        help="How a sparse model routes its tokens, such as '{\"top_p\": 0.7}', or @FILE with it.",
    ),
    click.option(
        "--token-statistics", is_flag=True, help="Count what a sparse model's token routers do."
    ),
    click.option(
        "--engine-flag", "flags", multiple=True, help="An option of vLLM, such as --seed=1."
    ),
)


def engine_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of an expert with an engine of its own, called as in `EngineOptions`."""
    for option in reversed(ENGINE_OPTIONS):
        command = option(command)
    return command


@click.group(epilog="Example: collegium expert add mine --url http://127.0.0.1:9000/v1")
def command() -> None:
    """Register, show and change experts. Changes count from the service's next request on."""


command.add_command(tokens)


@command.command(
    "add", epilog="Example: collegium expert add poet --lora ./poet-lora --on embedded"
)
@click.argument("name")
@click.option("--url", help="Address of an OpenAI-compatible API, ending in /v1.")
@click.option("--litellm", help="Model as LiteLLM names it, such as openai/gpt-4o-mini.")
@click.option("--lora", type=click.Path(path_type=Path), help="Folder of a LoRA adapter.")
@click.option(
    "--model-path",
    type=click.Path(path_type=Path),
    help="Folder of a whole model: an engine of its own is started for it.",
)
@click.option("--on", "engine", default=None, help="Engine that the adapter runs on.")
@click.option("--model", default="", help="The model's name at the address, if it serves several.")
@click.option("--api-key-env", help="Environment variable that holds the address's key.")
@click.option("--description", default="", help="What it is good at, for people.")
@click.option("--input-price", type=click.FloatRange(0), default=0.0, help=PRICES)
@click.option("--output-price", type=click.FloatRange(0), default=0.0, help=PRICES)
@click.option("--context", type=click.IntRange(1), default=2048, help="Context window, tokens.")
@click.option("--generalist", is_flag=True, help="It may answer what no specialist knows.")
@engine_options
@json_option
def register(
    name: str,
    url: str | None,
    litellm: str | None,
    lora: Path | None,
    model_path: Path | None,
    as_json: bool,
    **rest: Any,
) -> None:
    """Probe an expert and register it; a refusal changes nothing."""
    if sum(option is not None for option in (url, litellm, lora, model_path)) != 1:
        raise click.UsageError("give one of --url, --litellm, --lora and --model-path")
    kind = "openai" if url else "litellm" if litellm else "lora" if lora else "engine"
    engine = rest["engine"] if lora else None
    body = {
        "name": name,
        "kind": kind,
        "model": litellm or rest["model"],
        "base_url": url,
        "adapter": str(lora.resolve()) if lora else None,
        "engine": _engine(str(model_path.resolve()), rest) if model_path else engine,
        "api_key_env": rest["api_key_env"],
        "description": rest["description"],
        "input_price": rest["input_price"],
        "output_price": rest["output_price"],
        "context_window": rest["context"],
        "generalist": rest["generalist"],
    }
    registered = asyncio.run(_register(body))
    if as_json:
        return print_json(registered)
    probe = registered["probe"]
    took = "" if probe["latency_ms"] is None else f" in {probe['latency_ms']:.0f} ms"
    click.echo(f"Registered '{name}' ({registered['expert']['model']}): {probe['note']}{took}.")
    if probe["answer"]:
        click.echo(f"It said: {probe['answer']!r}")
    click.echo(f"Measure it with `collegium expert profile {name}`, so that it is routed to.")


def _engine(model_path: str, options: dict[str, Any]) -> dict[str, Any]:
    """The engine as the API takes it; what was not given is left to its defaults."""
    from pydantic import ValidationError

    from collegium.registry.engine import EngineOptions

    chosen = {name: options.get(name) for name in EngineOptions.model_fields} | {
        "model_path": model_path,
        "flags": " ".join(options["flags"]),
        "token_policy": token_policy(options["token_policy"], options["token_statistics"]),
    }
    try:
        engine = EngineOptions(**{n: value for n, value in chosen.items() if value is not None})
    except ValidationError as exc:
        wrong = exc.errors()[0]
        option = str(wrong["loc"][0]).replace("_", "-")
        raise click.UsageError(f"--{option}: {wrong['msg']}") from exc
    return engine.model_dump()


async def _remove(name: str) -> None:
    from collegium.cli.service_client import open_registry, running_service
    from collegium.experts.pool import Pool
    from collegium.experts.registration import Registration
    from collegium.registry.engines import EngineRegistry
    from collegium.settings import load_settings

    settings = load_settings()
    async with running_service(settings) as service:
        if service is not None:
            await service.call("DELETE", f"/v1/experts/{quote(name, safe='')}")
            return
    pool = Pool({}, timeout_s=settings.request_timeout_s)
    async with open_registry(settings) as registry:
        engines = EngineRegistry(registry.database)
        await Registration(registry, pool, engines=engines).remove(name)
        await pool.aclose()


async def _register(body: dict[str, Any]) -> dict[str, Any]:
    from collegium.cli.service_client import open_registry, running_service
    from collegium.errors import CollegiumError
    from collegium.experts.pool import Pool
    from collegium.experts.registration import Registration
    from collegium.registry.expert import Expert
    from collegium.settings import load_settings

    settings = load_settings()
    async with running_service(settings) as service:
        if service is not None:
            registered: dict[str, Any] = await service.call("POST", "/v1/experts", body)
            return registered
    if body["kind"] == "engine":
        raise CollegiumError("an engine is started by the running service: `collegium serve`")
    if body["kind"] == "lora":
        body = body | {"model": body["name"]}
    pool = Pool({}, timeout_s=settings.request_timeout_s)
    async with open_registry(settings) as registry:
        expert, report = await Registration(registry, pool).register(Expert(**body))
        await pool.aclose()
    return {"expert": asdict(expert), "probe": asdict(report)}


@command.command("list", epilog="Example: collegium expert list --json")
@json_option
def list_experts(as_json: bool) -> None:
    """List the registered experts."""
    experts = asyncio.run(_on_registry("list"))
    if as_json:
        return print_json([asdict(e) for e in experts])
    header = ("NAME", "KIND", "ENABLED", "SKILLS", "DESCRIPTION")
    print_table(header, [_row(e) for e in experts])


def _row(expert: Expert) -> tuple[str, ...]:
    skills = ", ".join(f"{s} {v:.0%}" for s, v in expert.skills.items() if v >= 0.5)
    enabled = "yes" if expert.enabled else "no"
    return expert.name, expert.kind, enabled, skills or "-", expert.description[:70]


@command.command(epilog="Example: collegium expert show sql")
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show all that is known of one expert."""
    _print(asyncio.run(_on_registry("get", name)), as_json)


@command.command(epilog="Example: collegium expert update mine --output-price 0.6")
@click.argument("name")
@click.option("--description")
@click.option("--input-price", type=click.FloatRange(0), help=PRICES)
@click.option("--output-price", type=click.FloatRange(0), help=PRICES)
@click.option("--context", "context_window", type=click.IntRange(1), help="Context, tokens.")
@click.option("--generalist/--no-generalist", default=None)
@json_option
def update(name: str, as_json: bool, **changes: Any) -> None:
    """Change an expert."""
    given = {k: v for k, v in changes.items() if v is not None}
    if not given:
        raise click.UsageError("nothing to change: give an option")
    _print(asyncio.run(_on_registry("update", name, **given)), as_json)


@command.command(epilog="Example: collegium expert remove mine")
@click.argument("name")
@json_option
def remove(name: str, as_json: bool) -> None:
    """Forget an expert; its recorded decisions stay."""
    asyncio.run(_remove(name))
    print_json({"removed": name}) if as_json else click.echo(f"Removed '{name}'.")


@command.command(epilog="Example: collegium expert enable mine")
@click.argument("name")
@json_option
def enable(name: str, as_json: bool) -> None:
    """Let an expert be asked again."""
    _print(asyncio.run(_on_registry("update", name, enabled=True)), as_json)


@command.command(epilog="Example: collegium expert disable mine")
@click.argument("name")
@json_option
def disable(name: str, as_json: bool) -> None:
    """Ask an expert no more, but keep it."""
    _print(asyncio.run(_on_registry("update", name, enabled=False)), as_json)


@command.command(epilog="Example: collegium expert probe sql")
@click.argument("name")
@json_option
def probe(name: str, as_json: bool) -> None:
    """Ask an expert to say hello, through the running service where there is one."""
    from collegium.cli.asking import probe_expert

    report = asyncio.run(probe_expert(name))
    if as_json:
        return print_json(report)
    took = "" if report["latency_ms"] is None else f" in {report['latency_ms']:.0f} ms"
    click.echo(f"{name}: {report['note']}{took}. {report['answer']!r}")


@command.command(epilog="Example: collegium expert profile mine --shots 10")
@click.argument("name")
@click.option("--shots", type=click.IntRange(2, 200), default=10, help="Questions a skill.")
@json_option
def profile(name: str, shots: int, as_json: bool) -> None:
    """Measure an expert's skills with a few marked questions; it is routed to at once."""
    from collegium.cli.asking import profile_expert

    levels = asyncio.run(profile_expert(name, shots))
    if as_json:
        return print_json({"expert": name, "shots": shots, "skills": levels})
    print_table(("SKILL", "LEVEL"), [(skill, f"{level:.0%}") for skill, level in levels.items()])


async def _on_registry(method: str, *args: Any, **kwargs: Any) -> Any:
    from collegium.cli.service_client import open_registry
    from collegium.settings import load_settings

    async with open_registry(load_settings()) as registry:
        return await getattr(registry, method)(*args, **kwargs)


def _print(expert: Expert, as_json: bool) -> None:
    if as_json:
        return print_json(asdict(expert))
    for field, value in asdict(expert).items():
        click.echo(f"{field:15}  {value if value not in (None, '', {}) else '-'}")
