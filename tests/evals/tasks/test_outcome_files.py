"""The documented format: the example in the documentation loads, in every format, and trains."""

import csv
import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from collegium.cli import cli
from collegium.evals.core.data import RoutingData, load_set
from collegium.evals.core.files import read_rows
from collegium.evals.core.signals import FIELDS
from collegium.evals.core.tables import KNOWN
from collegium.evals.training.learning import joined, recorded_set

DOCS = Path(__file__).resolve().parents[3] / "docs"
EXAMPLE = DOCS / "examples" / "outcomes"
PAGE = DOCS / "guides" / "outcome-files.md"


def same(first: RoutingData, second: RoutingData) -> None:
    """Two sets hold the same prompts and outcomes."""
    assert first.prompts == second.prompts
    assert first.signals == second.signals
    assert first.models == second.models
    np.testing.assert_array_equal(first.scores, second.scores)
    assert first.extras.keys() == second.extras.keys()
    for name, table in first.extras.items():
        np.testing.assert_array_equal(table, second.extras[name])


def test_the_example_loads() -> None:
    """Applications, prices, costs, and who gave the marks."""
    data = load_set(EXAMPLE)
    assert data.scores.shape == (30, 3)
    assert {signals.tag for signals in data.signals} == {"shop", "invoices", "review"}
    assert data.signals[0].tools == ("find_order", "opening_hours")
    assert json.loads(data.signals[10].schema)["required"] == ["number", "total"]
    assert set(data.prices) == set(data.models)
    assert np.isfinite(data.extras["cost_usd"]).all()
    assert set(data.extras["reliability"].ravel()) == {0.8, 1.0}
    assert data.sources is not None
    assert set(data.sources.ravel()) == {"judge", "schema check", "tests"}


def as_csv(path: Path) -> str:
    """The same rows as CSV; lists and objects as JSON."""
    rows = [row for _, row in read_rows(path)]
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names]
    for row in rows:
        cells = [row.get(name, "") for name in names]
        lines.append([c if isinstance(c, str) else json.dumps(c) for c in cells])
    import io

    text = io.StringIO()
    csv.writer(text).writerows(lines)
    return text.getvalue()


def as_lines(path: Path) -> str:
    """The same rows as JSON Lines."""
    return "".join(json.dumps(row) + "\n" for _, row in read_rows(path))


@pytest.mark.parametrize(
    ("prompts", "outcomes", "suffix"),
    [
        (("jsonl", as_lines), ("csv", as_csv), ".gz"),
        (("csv", as_csv), ("jsonl", as_lines), ""),
        (("csv", as_csv), ("jsonl", as_lines), ".gz"),
    ],
)
def test_every_format_holds_the_same(
    tmp_path: Path,
    prompts: tuple[str, Callable[[Path], str]],
    outcomes: tuple[str, Callable[[Path], str]],
    suffix: str,
) -> None:
    """CSV or JSON Lines, plain or compressed."""
    for name, source, (ending, convert) in (
        ("prompts", EXAMPLE / "prompts.jsonl", prompts),
        ("outcomes", EXAMPLE / "outcomes.csv", outcomes),
    ):
        content = convert(source).encode()
        path = tmp_path / f"{name}.{ending}{suffix}"
        path.write_bytes(gzip.compress(content) if suffix else content)
    same(load_set(tmp_path), load_set(EXAMPLE))


def test_what_a_router_learns_from_it() -> None:
    """The training part, with signals, tokens read and dollars beside what was there before."""
    part = recorded_set(EXAMPLE)
    assert len(part.prompts) == 21
    assert part.signals is not None
    assert part.signals[0].tag == "shop"
    assert part.prompt_tokens is not None
    assert part.cost_usd is not None
    assert part.cost_usd.shape == part.prompt_tokens.shape == part.scores.shape
    both = joined([part, part])
    assert both.signals is not None
    assert len(both.signals) == 42
    assert both.cost_usd is not None
    np.testing.assert_array_equal(both.cost_usd[21:], part.cost_usd)


def test_it_trains_a_router(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing but the checkout: no shared data, no registry, no task labels."""
    monkeypatch.setenv("COLLEGIUM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("COLLEGIUM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("COLLEGIUM_ENCODER", "static")
    words = ["router", "train", str(EXAMPLE), "--out", str(tmp_path / "router"), "--json"]
    result = CliRunner().invoke(cli, words, catch_exceptions=False)
    told = json.loads(result.stdout)
    assert told["prompts"] == 21
    assert told["unmatched"] == ["acme/small-3b", "acme/coder-14b", "bigco/large"]
    assert "no registered expert is acme/small-3b" in result.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("first", "known"),
    [("Prompt field", {"prompt_id", "prompt", *FIELDS}), ("Outcome field", set(KNOWN))],
)
def test_every_field_is_documented(first: str, known: set[str]) -> None:
    """The page's tables name all that is read."""
    page = PAGE.read_text(encoding="utf-8")
    table = page[page.index(f"| {first} |") :].split("\n\n")[0]
    assert known <= set(re.findall(r"`(\w+)`", table))
