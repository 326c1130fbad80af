"""One description of an engine: row, API body and command options are made of it."""

from __future__ import annotations

from typing import Annotated, Any

import click
import pytest
from click.testing import CliRunner
from pydantic import Field, ValidationError
from sqlalchemy import Integer

from collegium.cli import expert_add, expert_command, registering
from collegium.registry.engine import Engine, EngineOptions
from collegium.registry.tables import EngineRow
from collegium.registry.tables.base import AnyText, columns_of
from collegium.web.routes.experts import NewExpert

FROM_ITS_EXPERT = {"name", "context"}
MODEL = "/models/poet"


def body(**engine: Any) -> dict[str, Any]:
    """What `POST /v1/experts` is sent for an expert with an engine of its own."""
    return {"name": "poet", "kind": "engine", "engine": {"model_path": MODEL, **engine}}


class WiderEngine(Engine):
    """An engine with fields that somebody will add."""

    patience: Annotated[int, Field(ge=0)] = 3
    note: str | None = None


def test_the_row_has_a_column_for_each_field() -> None:
    """And no others."""
    assert {column.name for column in EngineRow.__table__.columns} == {*Engine.model_fields}


def test_the_api_takes_each_field() -> None:
    """In the object `engine`; the name and the context are the expert's."""
    taken = NewExpert.model_json_schema()["$defs"]["EngineOptions"]["properties"]
    assert {*taken} | FROM_ITS_EXPERT == {*Engine.model_fields}
    assert not {*taken} & FROM_ITS_EXPERT


def test_the_command_has_an_option_for_each_field() -> None:
    """`--engine-flag` for each of `flags`."""
    assert isinstance(expert_add.add, click.Command)
    options = {parameter.name for parameter in expert_add.add.params}
    assert {*EngineOptions.model_fields} <= options


def test_a_new_field_is_a_column_at_once() -> None:
    """Of its type, and NULL only where the field may be None."""
    columns = {column.name: column for column in columns_of(WiderEngine)}
    assert isinstance(columns["patience"].type, Integer)
    assert isinstance(columns["note"].type, AnyText)
    assert [columns[name].nullable for name in ("patience", "note")] == [False, True]
    assert [name for name, column in columns.items() if column.primary_key] == ["name"]


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("model_path", "", "at least 1 character"),
        ("dtype", "int3", "'bfloat16', 'float16' or 'float32'"),
        ("max_sequences", 0, "greater than or equal to 1"),
        ("max_sequences", 4097, "less than or equal to 4096"),
        ("cache_gib", 0, "greater than 0"),
        ("cache_gib", float("inf"), "finite number"),
        ("device", "cuda", "should match pattern"),
        ("lora_slots", -1, "greater than or equal to 0"),
        ("lora_slots", 65, "less than or equal to 64"),
        ("sleep_level", 3, "less than or equal to 2"),
        ("token_policy", "fast", "valid dictionary"),
        ("port", 80, "Extra inputs are not permitted"),
        ("name", "other", "Extra inputs are not permitted"),
        ("context", 4096, "Extra inputs are not permitted"),
    ],
)
def test_the_api_refuses_what_no_engine_can_have(field: str, value: Any, said: str) -> None:
    """With the field's name and what it should be."""
    with pytest.raises(ValidationError, match=said) as info:
        NewExpert.model_validate(body(**{field: value}))
    assert field in {error["loc"][-1] for error in info.value.errors()}


def test_what_is_not_given_has_its_default() -> None:
    """The API's defaults are the description's."""
    engine = NewExpert.model_validate(body(lora_slots=4)).engine
    assert engine == EngineOptions(model_path=MODEL, lora_slots=4)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The bodies that the command would send."""
    bodies: list[dict[str, Any]] = []

    async def keep(body: dict[str, Any]) -> dict[str, Any]:
        bodies.append(body)
        report = {
            "note": "answered its probe",
            "latency_ms": 5.0,
            "answer": "Hello.",
            "looked_up": {},
        }
        expert = {"model": "poet", "input_price": 0.0, "output_price": 0.0}
        return {"expert": expert, "probe": report}

    monkeypatch.setattr(registering, "register", keep)
    return bodies


def run(*options: str) -> Any:
    words = ["add", "poet", "--model-path", MODEL, *options]
    return CliRunner().invoke(expert_command.command, words)


def test_the_command_sends_what_the_api_takes(sent: list[dict[str, Any]]) -> None:
    """Every option arrives under its field's name."""
    given = EngineOptions(
        model_path=MODEL,
        dtype="float16",
        max_sequences=8,
        cache_gib=0.5,
        device="0,1",
        lora_slots=2,
        flags="--seed=1 --block-size=16",
        sleep_level=1,
        token_policy={"top_p": 0.7, "statistics": True},
    )
    done = run(
        "--dtype=float16", "--max-sequences=8", "--cache-gib=0.5", "--device=0,1",
        "--lora-slots=2", "--engine-flag=--seed=1", "--engine-flag=--block-size=16",
        "--sleep-level=1", '--token-policy={"top_p": 0.7}', "--token-statistics",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "Registered 'poet'" in done.output
    assert NewExpert.model_validate(sent[0]).engine == given
    assert not {name for name in given.model_fields_set if sent[0]["engine"][name] is None}


def test_a_command_without_options_sends_the_defaults(sent: list[dict[str, Any]]) -> None:
    """The command line has none of its own."""
    assert run().exit_code == 0
    assert NewExpert.model_validate(sent[0]).engine == EngineOptions(model_path=MODEL)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--max-sequences=0", "--max-sequences: Input should be greater than or equal to 1"),
        ("--device=cuda", "--device: String should match pattern"),
        ("--sleep-level=3", "--sleep-level: Input should be less than or equal to 2"),
        ("--cache-gib=0", "--cache-gib: Input should be greater than 0"),
    ],
)
def test_the_command_refuses_what_the_api_would(
    sent: list[dict[str, Any]], option: str, said: str
) -> None:
    """Before anybody is asked, with the same words."""
    done = run(option)
    assert done.exit_code == 2
    assert said in done.output
    assert sent == []
