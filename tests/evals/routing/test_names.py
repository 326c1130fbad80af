"""Which expert a recorded model is: by name, by what it serves, or as a person says."""

from pathlib import Path

import click
import pytest

from collegium.cli.model_names import read_map
from collegium.errors import SetupError
from collegium.evals.routing.names import ModelNames, plain
from collegium.registry.expert import Expert
from collegium.router.forecasting import fingerprint, known_as


def expert(name: str, model: str = "m") -> Expert:
    """One that answers elsewhere."""
    return Expert(name, "openai", model, base_url="http://127.0.0.1:9/v1")


LLAMA = expert("llama-3-8b", "meta-llama/Meta-Llama-3-8B")
NAMES = ModelNames({"gpt": "oracle"}, (LLAMA, expert("other", "x/Qwen2.5_7B"), expert("gpt")))


@pytest.mark.parametrize(
    ("model", "found"),
    [
        ("gpt", "oracle"),
        ("other", "other"),
        ("meta-llama/Meta-Llama-3-8B", "llama-3-8b"),
        ("meta-llama/Llama-3-8B", "llama-3-8b"),
        ("qwen2.5-7b", "other"),
        ("mistral", None),
    ],
)
def test_a_model_is_matched(model: str, found: str | None) -> None:
    """By what was said, by name, by served model, and without maker, case and punctuation."""
    assert NAMES.expert(model) == found


def test_equal_matches_are_left_to_people() -> None:
    """Two experts that serve the same model are both named; a map decides."""
    names = ModelNames({}, (expert("fast", "a/b"), expert("slow", "a/b")))
    assert names.expert("a/b") is None
    assert names.unmatched(["a/b", "c"]) == ["a/b (fast or slow?)", "c"]
    assert ModelNames({"a/b": "slow"}, names.experts).expert("a/b") == "slow"


def test_outcomes_belong_to_the_expert_or_the_model() -> None:
    """Under its own name where nobody is registered; two can't be the same expert."""
    assert NAMES.outcomes_of(["gpt", "mistral"]) == ["named:oracle", "named:mistral"]
    with pytest.raises(SetupError, match="both 'llama-3-8b' and 'x/Llama-3-8B' belong"):
        NAMES.outcomes_of(["llama-3-8b", "x/Llama-3-8B"])


def test_a_fitted_routers_column_is_found() -> None:
    """By the expert's name or weights, by the model's name, and less exactly."""
    known = ["named:llama-3-8b", "named:org/Mistral-7B", fingerprint(NAMES.experts[1])]
    assert NAMES.column("meta-llama/Meta-Llama-3-8B", known) == 0
    assert NAMES.column("mistral-7b", known) == 1
    assert NAMES.column("other", known) == 2
    assert NAMES.column("gpt", known) is None
    assert ModelNames().column("org/Mistral-7B", known) == 1


def test_a_served_model_is_known_by_its_own_name() -> None:
    """A router that was fitted before anybody was registered knows the maker's name."""
    assert known_as(LLAMA, {"named:meta-llama/Meta-Llama-3-8B": 0}) in {
        "named:meta-llama/Meta-Llama-3-8B"
    }
    assert known_as(LLAMA, {"named:llama-3-8b": 0}) == "named:llama-3-8b"


def test_a_mapped_model_without_outcomes_is_told() -> None:
    """It was mistyped, or belongs to another set."""
    with pytest.raises(SetupError, match="--map names 'gpt', of which there are no outcomes"):
        NAMES.check_given(["a", "b"])


def test_a_map_is_read_from_options_and_files(tmp_path: Path) -> None:
    """A line a model; an "=" in a model's name is no end of it."""
    file = tmp_path / "map.txt"
    file.write_text("# ours\n\nmeta/a = small\nb=v=large\n")
    assert read_map(["x=y", f"@{file}"]) == {"x": "y", "meta/a": "small", "b=v": "large"}
    file.write_text("a\n")
    with pytest.raises(click.UsageError, match=r"map\.txt, line 1: a: expected MODEL=EXPERT"):
        read_map([f"@{file}"])
    with pytest.raises(click.UsageError, match="'a' is already b's"):
        read_map(["a=b", "a=c"])


def test_names_without_makers() -> None:
    """What is left tells models apart."""
    assert plain("org/Meta_Llama-3.1-8B") == plain("meta-llama-3.1-8b") == "meta-llama-3-1-8b"
