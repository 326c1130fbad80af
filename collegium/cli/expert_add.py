"""`collegium expert add`, and the options that describe an expert."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from collegium.cli.expert_tokens import json_object, token_policy
from collegium.cli.output import json_option, print_json

Option = Callable[[Callable[..., None]], Callable[..., None]]
PRICES = "Dollars per million tokens; unknown unless given or listed."
KNOWN_OPTIONS: tuple[Option, ...] = (
    click.option("--description", help="What it is good at, for people."),
    click.option("--input-price", type=click.FloatRange(0), help=PRICES),
    click.option("--output-price", type=click.FloatRange(0), help=PRICES),
    click.option(
        "--context",
        "context_window",
        type=click.IntRange(1, 2**31 - 1),
        help="Context window, tokens. Default: as LiteLLM's price list has it, else 2048.",
    ),
    click.option("--tag", "tags", multiple=True, help="A free label, such as eu; may be repeated."),
    click.option("--prior", type=click.FloatRange(0, 1), help="How good you think it is, 0 to 1."),
    click.option(
        "--parameters",
        "parameters_b",
        type=click.FloatRange(0, min_open=True),
        help="Its size, billions of parameters.",
    ),
)
OPTIONS = {"engine": "on", "context_window": "context", "parameters_b": "parameters"}
ITS_BASES = ("model", "engine", "api_key_env", "context_window", "parameters_b")
"""Options that say what an expert is: a preset has them from its base."""
KNOWN = (
    "description",
    "input_price",
    "output_price",
    "context_window",
    "tags",
    "prior",
    "parameters_b",
)
ENGINE_OPTIONS: tuple[Option, ...] = (
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


def options_of(options: Sequence[Option]) -> Option:
    """Several options as one decorator."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


@click.command("add", epilog="Example: collegium expert add poet --lora ./poet-lora --on embedded")
@click.argument("name")
@click.option("--url", help="Address of an OpenAI-compatible API, ending in /v1.")
@click.option("--litellm", help="Model as LiteLLM names it, such as openai/gpt-4o-mini.")
@click.option("--lora", type=click.Path(path_type=Path), help="Folder of a LoRA adapter.")
@click.option(
    "--model-path",
    type=click.Path(path_type=Path),
    help="Folder of a whole model: an engine of its own is started for it.",
)
@click.option("--like", metavar="EXPERT", help="Expert whose model it is, for a preset.")
@click.option(
    "--with",
    "settings",
    metavar="JSON",
    help='What a preset sets, such as \'{"reasoning_effort": "high"}\', or @FILE with it.',
)
@click.option("--on", "engine", default=None, help="Engine that the adapter runs on.")
@click.option("--model", default="", help="The model's name at the address, if it serves several.")
@click.option("--api-key-env", help="Environment variable that holds the address's key.")
@options_of(KNOWN_OPTIONS)
@click.option("--generalist", is_flag=True, help="It may answer what no specialist knows.")
@options_of(ENGINE_OPTIONS)
@click.option("--profile", "profiled", is_flag=True, help="Then measure it by general questions.")
@click.option("--yes", is_flag=True, help="With --profile, do not ask before anything is spent.")
@json_option
def add(
    name: str,
    url: str | None,
    litellm: str | None,
    lora: Path | None,
    model_path: Path | None,
    like: str | None,
    profiled: bool,
    yes: bool,
    as_json: bool,
    **rest: Any,
) -> None:
    """Probe an expert and register it; a refusal changes nothing."""
    if sum(option is not None for option in (url, litellm, lora, model_path, like)) != 1:
        raise click.UsageError("give one of --url, --litellm, --lora, --model-path and --like")
    if (like is None) != (rest["settings"] is None):
        raise click.UsageError("a preset needs both --like and --with")
    described = {field: rest[field] for field in KNOWN if rest[field] not in (None, ())}
    body = {"name": name, "generalist": rest["generalist"], **described}
    if like is not None:
        _refuse_bases(body, rest)
        body |= {"like": like, "with": json_object(rest["settings"], "--with")}
    else:
        body |= {
            "kind": "openai" if url else "litellm" if litellm else "lora" if lora else "engine",
            "model": litellm or rest["model"],
            "base_url": url,
            "adapter": str(lora.resolve()) if lora else None,
            "engine": rest["engine"] if lora else None,
            "api_key_env": rest["api_key_env"],
        }
    if model_path is not None:
        body["engine"] = _engine(str(model_path.resolve()), rest)
    registered = asyncio.run(_register(body))
    _tell(name, registered, profiled=profiled, as_json=as_json)
    if profiled:
        asyncio.run(_profile(name, confirmed=yes))


def _refuse_bases(body: dict[str, Any], options: dict[str, Any]) -> None:
    """A preset is what its base is: where it answers and how large it is can't be given again."""
    given = [field for field in ITS_BASES if body.get(field) or options.get(field)]
    if given:
        words = ", ".join(f"--{OPTIONS.get(field, field.replace('_', '-'))}" for field in given)
        raise click.UsageError(f"a preset has its base's {words}")


async def _profile(name: str, *, confirmed: bool) -> None:
    from collegium.cli.expert_profile import Budget, print_profile, profile_expert
    from collegium.experts.questions.source import Bank

    found = await profile_expert(name, Bank(), Budget(), confirmed=confirmed)
    print_profile(found, err=True)


def _tell(name: str, registered: dict[str, Any], *, profiled: bool, as_json: bool) -> None:
    if as_json:
        return print_json(registered)
    probe = registered["probe"]
    took = "" if probe["latency_ms"] is None else f" in {probe['latency_ms']:.0f} ms"
    click.echo(f"Registered '{name}' ({registered['expert']['model']}): {probe['note']}{took}.")
    if probe["answer"]:
        click.echo(f"It said: {probe['answer']!r}")
    for field, source in probe["looked_up"].items():
        click.echo(f"{field}: {registered['expert'][field]:g} ({source})")
    if None in (registered["expert"]["input_price"], registered["expert"]["output_price"]):
        click.echo(f"Its price is unknown: limits on cost refuse it. {_how_to_price(name)}")
    if not profiled:
        click.echo(f"Measure it with `collegium expert profile {name}`, so that it is routed to.")


def _how_to_price(name: str) -> str:
    return f"Set it with `collegium expert update {name} --input-price … --output-price …`."


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
    if body.get("kind") == "engine":
        raise CollegiumError("an engine is started by the running service: `collegium serve`")
    if body.get("kind") == "lora":
        body = body | {"model": body["name"]}
    pool = Pool(
        {},
        timeout_s=settings.request_timeout_s,
        key_variables=settings.api_key_variables,
    )
    async with open_registry(settings) as registry:
        registration = Registration(registry, pool)
        if "like" in body:
            known = {"like": body.pop("like"), "settings": body.pop("with")}
            expert, report = await registration.register_preset(**known, **body)
        else:
            stated = "context_window" in body
            expert, report = await registration.register(Expert(**body), context_stated=stated)
        await pool.aclose()
    return {"expert": asdict(expert), "probe": asdict(report)}
