"""`collegium expert add`, and the options that describe an expert."""

from __future__ import annotations

import asyncio
import math
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from collegium.cli.expert_abilities import (
    ABILITY_OPTIONS,
    Option,
    abilities_of,
    told_abilities,
)
from collegium.cli.expert_tokens import json_object, token_policy
from collegium.cli.numbers import FiniteRange
from collegium.cli.output import json_option, print_json

PRICES = "Dollars per million tokens; unknown unless given or listed."


def further_prices(given: Sequence[str]) -> dict[str, float | None]:
    """Prices by name, of words such as `cached_input=0.03`; `NAME=` forgets one."""
    prices: dict[str, float | None] = {}
    for word in given:
        name, equals, price = word.partition("=")
        try:
            prices[name] = float(price) if price else None
        except ValueError:
            equals = ""
        if not equals or not name:
            raise click.BadParameter(f"'{word}' is not of the form cached_input=0.03")
        if not math.isfinite(prices[name] or 0):
            raise click.BadParameter(f"the price {name} is a number of dollars from 0, not {price}")
    return prices


KNOWN_OPTIONS: tuple[Option, ...] = (
    click.option("--description", help="Description for people."),
    click.option("--input-price", type=FiniteRange(0), help=PRICES),
    click.option("--output-price", type=FiniteRange(0), help=PRICES),
    click.option(
        "--price",
        "prices",
        metavar="NAME=USD",
        multiple=True,
        callback=lambda _context, _option, given: further_prices(given),
        help="Further price, such as cached_input=0.03; repeatable.",
    ),
    click.option(
        "--context",
        "context_window",
        type=click.IntRange(1, 2**31 - 1),
        help="Context window, tokens. Default: the checkpoint's or LiteLLM's, else 2048.",
    ),
    click.option("--tag", "tags", multiple=True, help="Free label, such as eu; repeatable."),
    click.option("--prior", type=FiniteRange(0, 1), help="Estimated quality, 0 to 1."),
    click.option(
        "--parameters",
        "parameters_b",
        type=FiniteRange(0, min_open=True),
        help="Size, billions of parameters.",
    ),
    *ABILITY_OPTIONS,
)
OPTIONS = {
    "engine": "on",
    "capabilities": "can",
    "labels": "residency",
    "context_window": "context",
    "parameters_b": "parameters",
}
ITS_BASES = (
    "model", "engine", "api_key_env", "context_window", "parameters_b",
    "capabilities", "labels",
)  # fmt: skip
"""Options that say what an expert is: a preset has them from its base."""
KNOWN = (
    "description",
    "input_price",
    "output_price",
    "prices",
    "context_window",
    "tags",
    "prior",
    "parameters_b",
)
WAYS = {"openai": "url", "litellm": "litellm", "lora": "lora", "engine": "model_path"}
"""The option that each kind of expert is added by."""
ENGINE_OPTIONS: tuple[Option, ...] = (
    click.option(
        "--dtype",
        type=click.Choice(["bfloat16", "float16", "float32"]),
        help="Number format of the engine. Default: the model's on a GPU, the fastest on a CPU.",
    ),
    click.option("--max-sequences", type=int, help="Requests that it runs at once."),
    click.option(
        "--cache-gib", type=float, help="Memory of the engine's KV cache, GiB; on GPUs at least."
    ),
    click.option("--device", help="Indices of the GPUs that the engine may use."),
    click.option("--lora-slots", type=int, help="Maximum number of adapters in a batch; 0: none."),
    click.option(
        "--sleep-level",
        type=int,
        help="On a GPU, sleep instead of stopping when another engine needs the memory.",
    ),
    click.option(
        "--token-policy",
        metavar="JSON",
        help="How a sparse model routes its tokens, such as '{\"top_p\": 0.7}', or @FILE.",
    ),
    click.option("--token-statistics", is_flag=True, help="Count how tokens are routed."),
    click.option(
        "--engine-flag",
        "flags",
        multiple=True,
        help="Option of vLLM, such as --seed=1; repeatable.",
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
@click.option("--litellm", help="LiteLLM's name of the model, such as openai/gpt-4o-mini.")
@click.option("--lora", type=click.Path(path_type=Path), help="Folder of a LoRA adapter.")
@click.option(
    "--model-path",
    type=click.Path(path_type=Path),
    help="Folder of a whole model, which gets its own engine.",
)
@click.option("--hf", metavar="ORG/NAME", help="Model of the Hugging Face Hub, downloaded first.")
@click.option(
    "--kind", metavar="KIND", help="Kind that a plugin adds; takes --model and --address."
)
@click.option("--address", help="Address of an expert of a plugin's kind, if it has one.")
@click.option("--like", metavar="EXPERT", help="Expert whose model a preset uses.")
@click.option(
    "--with",
    "settings",
    metavar="JSON",
    help='Fields of a preset, such as \'{"reasoning_effort": "high"}\', or @FILE.',
)
@click.option("--on", "engine", default=None, help="Engine that runs the adapter.")
@click.option("--model", default="", help="Name of the model at the address, if it serves several.")
@click.option("--api-key-env", help="Environment variable that holds the key for the address.")
@options_of(KNOWN_OPTIONS)
@click.option("--generalist", is_flag=True, help="Use it for queries that no specialist knows.")
@options_of(ENGINE_OPTIONS)
@click.option("--profile", "profiled", is_flag=True, help="Then measure it with general questions.")
@click.option("--yes", is_flag=True, help="With --profile, do not confirm the cost.")
@json_option
def add(name: str, profiled: bool, yes: bool, as_json: bool, **options: Any) -> None:
    """Probe an expert and register it. If the probe fails, nothing is changed."""
    from collegium.cli import registering

    _check(options)
    registered = asyncio.run(registering.register(_body(name, options)))
    _tell(name, registered, profiled=profiled, as_json=as_json)
    if profiled:
        asyncio.run(_profile(name, confirmed=yes))


def _check(options: dict[str, Any]) -> None:
    """Refuse options that do not go together."""
    if sum(options[way] is not None for way in (*WAYS.values(), "hf", "kind", "like")) != 1:
        words = "give one of --url, --litellm, --lora, --model-path, --hf, --kind and --like"
        raise click.UsageError(words)
    if (kind := options["kind"]) in WAYS:
        raise click.UsageError(f"--kind {kind} is registered without --kind: see the help")
    if options["address"] is not None and kind is None:
        raise click.UsageError("--address goes with --kind; an OpenAI-compatible API has --url")
    if (options["like"] is None) != (options["settings"] is None):
        raise click.UsageError("a preset needs both --like and --with")


def _body(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """The expert as the API takes it."""
    described = {field: options[field] for field in KNOWN if options[field] not in (None, (), {})}
    body = {"name": name, "generalist": options["generalist"], **described}
    stated = abilities_of(options)
    if options["like"] is not None:
        _refuse_bases(body, {**options, **stated})
        return body | {
            "like": options["like"],
            "with": json_object(options["settings"], "--with"),
        }
    if options["hf"] is not None:
        options["model_path"] = _downloaded(options["hf"])
    kind, lora, model_path = (options[way] for way in ("kind", "lora", "model_path"))
    body |= {
        "kind": kind or next(name for name, way in WAYS.items() if options[way] is not None),
        "model": options["litellm"] or options["model"] or (name if kind else ""),
        "base_url": options["url"] or options["address"],
        "adapter": str(lora.resolve()) if lora else None,
        "engine": options["engine"] if lora else None,
        "api_key_env": options["api_key_env"],
        **stated,
    }
    if model_path is not None:
        body["engine"] = _engine(str(model_path.resolve()), options)
    return body


def _downloaded(model: str) -> Path:
    from collegium.experts.hub import download
    from collegium.settings import load_settings

    return download(model, load_settings().cache_dir, lambda text: click.echo(text, err=True))


def _refuse_bases(body: dict[str, Any], options: dict[str, Any]) -> None:
    """Refuse fields that a preset inherits from its base, such as its address and size."""
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
    took = "" if probe["latency_ms"] is None else f" after {probe['latency_ms']:.0f} ms"
    click.echo(f"Registered '{name}' ({registered['expert']['model']}){took}: {probe['note']}.")
    if probe["answer"]:
        click.echo(f"It said: {probe['answer']!r}")
    for field, source in probe["looked_up"].items():
        click.echo(f"{field}: {_value(registered['expert'][field])} ({source})")
    for words in told_abilities(probe):
        click.echo(words)
    if None in (registered["expert"]["input_price"], registered["expert"]["output_price"]):
        click.echo(f"Its price is unknown: limits on cost refuse it. {_how_to_price(name)}")
    if not profiled:
        click.echo(f"Measure it with `collegium expert profile {name}`: what is it good at?")


def _value(value: float | dict[str, float]) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {price:g}" for name, price in value.items())
    return f"{value:g}"


def _how_to_price(name: str) -> str:
    return f"Set it with `collegium expert update {name} --input-price … --output-price …`."


def _engine(model_path: str, options: dict[str, Any]) -> dict[str, Any]:
    """The engine as the API takes it; what was not given is left to its defaults."""
    from pydantic import ValidationError

    from collegium.registry.engine import EngineOptions

    chosen = {name: options.get(name) for name in EngineOptions.model_fields} | {
        "model_path": model_path,
        "flags": shlex.join(options["flags"]),
        "token_policy": token_policy(options["token_policy"], options["token_statistics"]),
    }
    try:
        engine = EngineOptions(**{n: value for n, value in chosen.items() if value is not None})
    except ValidationError as exc:
        wrong = exc.errors()[0]
        option = str(wrong["loc"][0]).replace("_", "-")
        raise click.UsageError(f"--{option}: {wrong['msg']}") from exc
    return engine.model_dump()
