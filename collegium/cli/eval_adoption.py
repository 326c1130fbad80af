"""`collegium eval adoption`: the value of a router in a pool of real models, by number of marks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collegium.cli.output import print_table

if TYPE_CHECKING:
    from collegium.evals.core.arrays import Floats
    from collegium.evals.studies.adoption.draws import Marking
    from collegium.evals.studies.adoption.marks import Labels
    from collegium.evals.studies.adoption.rows import Row
    from collegium.evals.studies.adoption.worlds import World
    from collegium.router.vectors import Encoder

SETS = ("alpacaeval2", "bfcl71", "llmrouter9", "mmlupro28", "routerbench3", "routerdc7")
REPLAYS = (0, 50, 100, 200, 400, 800, 3900)
WITH_ERRORS, APART = 400, 800
"""Replays of the rows with marks that err, and of those with unseen families and newcomers."""
COMPARED = 1_000
JUDGES: tuple[Labels, ...] = ("judge", "biased_judge")
CONFIRMED = 60
"""The share of a judge's marks that a person confirms."""
RACED = 0.6
"""The share of the dollars that asking everybody costs, within which a race asks."""


@click.command(epilog="Example: collegium eval adoption --draws 50 --json adoption.json")
@click.argument("datasets", metavar="[DATASET]…", nargs=-1)
@click.option(
    "--replays",
    type=click.IntRange(0),
    multiple=True,
    default=REPLAYS,
    help="Marked prompts to learn from; repeatable [default: 0, …, 3900].",
)
@click.option(
    "--draws", type=click.IntRange(1), default=50, show_default=True, help="Fits per row."
)
@click.option("--seed", default=0, help="Seed of all that is random.")
@click.option("--only-pure", is_flag=True, help="Leave out disturbed worlds and noisy marks.")
@click.option("--no-api", is_flag=True, help="Do not compare with a service.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the data sets.")
@click.option("--encoder", default="minilm+surface", show_default=True, help="As in eval routing.")
@click.option("--html", type=click.Path(path_type=Path), help="Write a page with plots.")
@click.option("--json", "json_file", is_flag=False, flag_value="-", help="Write JSON; - prints it.")
def adoption(
    datasets: tuple[str, ...],
    replays: tuple[int, ...],
    draws: int,
    html: Path | None,
    json_file: str | None,
    no_api: bool,
    **options: Any,
) -> None:
    """Simulate the adoption of a router for eight recorded models, from no marks to thousands.

    Each row is a number of replayed and marked prompts, evaluated by the decisions that the service
    would make for held-out prompts. SAVED is the saving against the best single expert; on the
    `curve`, the largest saving at a loss of at most one point. OF TABLE is SAVED as a share of what
    a table by true task with all marks saves. VIOLATIONS are draws that lose more than 1.5 points.
    Unless --no-api is given, a service is started to check that it decides in the same way.
    """
    import json

    from threadpoolctl import threadpool_limits

    from collegium.cli.eval_routing import refuse_swallowed_set
    from collegium.evals.studies.adoption.text import HEAD, cells, references

    refuse_swallowed_set(json_file, options["data"])
    with threadpool_limits(1):
        rows, same = _played(datasets or SETS, replays, draws, api=not no_api, **options)
    found = {"served_equals_evaluated": same, "rows": [row.as_json() for row in rows]}
    if html is not None:
        from collegium.evals.studies.adoption.page import html_page

        html.write_text(html_page(rows, same), encoding="utf-8")
    text = json.dumps(_finite(found), indent=1) + "\n"
    if json_file == "-":
        click.echo(text, nl=False)
        return
    if json_file is not None:
        Path(json_file).write_text(text, encoding="utf-8")
    click.echo("".join(f"{line}\n" for line in references(rows)))
    print_table(HEAD, [cells(row) for row in rows])
    if same is not None:
        click.echo(f"Served decisions equal evaluated ones: {'yes' if same else 'NO'}")


def _played(
    datasets: Sequence[str],
    replays: Sequence[int],
    draws: int,
    *,
    api: bool,
    seed: int,
    only_pure: bool,
    data: Path | None,
    encoder: str,
) -> tuple[list[Row], bool | None]:
    from collegium.evals.formats import load_any
    from collegium.evals.routing.embeddings import CachedEncoder, EmbeddingCache
    from collegium.evals.routing.encoders import encoder as named
    from collegium.evals.routing.sources import set_folder
    from collegium.evals.studies.adoption.worlds import world
    from collegium.settings import load_settings

    pure = world([load_any(set_folder(name, data)) for name in datasets], seed=seed)
    vectors = CachedEncoder(named(encoder), EmbeddingCache(load_settings().cache_dir))
    X = vectors.encode(pure.prompts).astype(float)
    remembered = _Remembered(vectors, pure, X)
    rows = list(_pure_rows(pure, X, remembered, replays, draws, seed))
    if not only_pure:
        rows += _other_rows(pure, X, remembered, draws, seed)
    return rows, _same_by_api(pure, X, remembered, seed) if api else None


def _pure_rows(
    pure: World, X: Floats, encoder: Encoder, replays: Sequence[int], draws: int, seed: int
) -> Iterator[Row]:
    from collegium.evals.studies.adoption.rows import play

    for count in sorted(set(replays)):
        yield from play(pure, X, encoder, count, draws=draws, seed=seed, tell=_tell)


def _other_rows(pure: World, X: Floats, encoder: Encoder, draws: int, seed: int) -> Iterator[Row]:
    from collegium.evals.studies.adoption.further import newcomer_rows, unseen_rows
    from collegium.evals.studies.adoption.rows import play
    from collegium.evals.studies.adoption.worlds import disturbed

    few = max(1, draws // 5)
    for world in (disturbed(pure, seed=seed), pure.without_applications()):
        for count in (WITH_ERRORS, len(pure.train)):
            yield from play(world, X, encoder, count, draws=few, seed=seed, tell=_tell)
    for count, marking in _markings(len(pure.train)):
        yield from play(pure, X, encoder, count, marking=marking, draws=few, seed=seed, tell=_tell)
    yield from unseen_rows(pure, X, encoder, APART, seed=seed, tell=_tell)
    yield from newcomer_rows(pure, X, encoder, APART, seed=seed, tell=_tell)


def _markings(most: int) -> Iterator[tuple[int, Marking]]:
    """Numbers of prompts whose marks err, were confirmed in part, or were raced for."""
    from collegium.evals.studies.adoption.draws import Marking

    yield WITH_ERRORS, Marking("agreement")
    for labels in JUDGES:
        yield WITH_ERRORS, Marking(labels)
        for confirmed in (0, CONFIRMED):
            yield most, Marking(labels, confirmed)
    yield APART, Marking(raced=RACED)


def _same_by_api(pure: World, X: Floats, encoder: Encoder, seed: int) -> bool:
    """Whether a service decides 1,000 prompts as the evaluation did, under each policy."""
    import numpy as np

    from collegium.cli.adoption_service import decided_by_api
    from collegium.evals.studies.adoption.draws import POLICIES
    from collegium.evals.studies.adoption.playing import Adopted
    from collegium.evals.studies.adoption.worlds import disturbed

    world = disturbed(pure, seed=seed)
    rows = np.random.default_rng(seed).permutation(world.train)[:WITH_ERRORS]
    adopted = Adopted.on(world, rows, encoder, seed=seed).saved()
    judges = world.judges[:COMPARED]
    readings = adopted.readings(X[judges], judges)
    live = decided_by_api(adopted, judges.tolist(), list(POLICIES.values()))
    same = True
    for model, served in live.items():
        offline = [d.expert for d in adopted.decisions(readings, judges, model)]
        different = sum(a != b for a, b in zip(offline, served, strict=True))
        _tell(f"{model}: {different} of {len(judges)} decisions differ between service and offline")
        same = same and not different
    return same


class _Remembered:
    """The world's vectors in memory; other texts are encoded."""

    def __init__(self, inner: Encoder, world: World, X: Floats) -> None:
        self.name = inner.name
        self._inner = inner
        self._known = dict(zip(world.prompts, X.astype("float32"), strict=True))

    def encode(self, texts: Sequence[str]) -> Any:
        """Return one row a text."""
        import numpy as np

        new = [text for text in texts if text not in self._known]
        if new:
            self._known.update(zip(new, self._inner.encode(new), strict=True))
        return np.array([self._known[text] for text in texts])


def _tell(words: str) -> None:
    click.echo(words, err=True)


def _finite(value: Any) -> Any:
    """The value with null for NaN, which JSON has not."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and value != value else value
