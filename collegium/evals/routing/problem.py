"""One set as arrays: training and test data."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from collegium.errors import SetupError
from collegium.evals.core.arrays import Bools, Floats, Ints
from collegium.evals.core.data import RoutingData
from collegium.evals.formats import load_any
from collegium.evals.routing import labels as label
from collegium.evals.routing.costs import cost_model
from collegium.evals.routing.set_algebra import of_pool, put_together
from collegium.evals.routing.splits import (
    CROSSED,
    Fold,
    crossed_folds,
    given_split,
    hash_split,
    leave_out,
    single_fold,
    unlearnt,
)
from collegium.router.applications.signals import Signals


@dataclass(frozen=True)
class Problem:
    """A set's prompts by models, with the folds in which they are learnt from and judged."""

    name: str
    prompts: tuple[str, ...]
    models: tuple[str, ...]
    scores: Floats
    """Shape (prompts, models), in [0, 1]; NaN if unmeasured."""
    costs: Floats
    """Dollars, in the same shape, without gaps."""
    cost_source: str
    tasks: tuple[str, ...]
    groups: tuple[str, ...] | None
    """The set's own groups of tasks, such as RouterDC's `ID` and `OOD`."""
    originals: tuple[str, ...]
    """The id of the prompt that each one paraphrases; its own if it is not a paraphrase."""
    prompt_ids: tuple[str, ...]
    families: Ints
    """Equal numbers stay together in cross-validation."""
    folds: tuple[Fold, ...]
    notes: tuple[str, ...]
    signals: tuple[Signals, ...] = ()
    """What each prompt shows of the application that sent it."""
    dropped: int = 0
    """Prompts that are not judged, because their text is learnt from."""

    @property
    def train_rows(self) -> Ints:
        """Every row that some fold learns from."""
        return np.unique(np.concatenate([fold.train for fold in self.folds]))

    @property
    def test_rows(self) -> Ints:
        """Every row that is judged, once each."""
        return np.unique(np.concatenate([fold.test for fold in self.folds]))


def read_problem(
    folder: Path, *, pool: Sequence[str] = (), left_out: str | None = None, seed: int = 0
) -> Problem:
    """Read one folder; its `split` label decides where it names both parts, else a hash."""
    data = of_pool(load_any(folder), pool)
    training = given_split(data.labels.get("split"))
    how = "split as labelled" if training is not None else "split 70/30 by hash of prompt_id"
    if training is None and not left_out:
        training = training_part(data, seed)
    return build(data, training, left_out=left_out, seed=seed, notes=() if left_out else (how,))


def training_part(data: RoutingData, seed: int = 0) -> Bools:
    """Return which rows are learnt from: as the `split` label says, else by a hash."""
    labelled = given_split(data.labels.get("split"))
    if labelled is not None:
        return labelled
    return hash_split(label.originals(data.labels, data.prompt_ids), seed)


def read_whole(folder: Path, *, pool: Sequence[str] = (), seed: int = 0) -> Problem:
    """Read one folder of which every prompt is judged, whatever its `split` label says.

    What has to learn from the set does so from other parts of it than the one that is judged.
    """
    notes = (f"every prompt is judged; baselines learn from the other of {CROSSED} parts",)
    return build(of_pool(load_any(folder), pool), None, seed=seed, notes=notes)


def read_two(
    train: Path,
    test: Path,
    *,
    pool: Sequence[str] = (),
    left_out: str | None = None,
    seed: int = 0,
) -> Problem:
    """Read two folders: all of the first is learnt from, all of the second is judged."""
    lesson, exam = load_any(train), load_any(test)
    if pool:
        lesson, exam = of_pool(lesson, pool), of_pool(exam, pool)
    data, training, notes = put_together(lesson, exam)
    return build(data, training, left_out=left_out, seed=seed, notes=notes)


def taught_by_fewer(problem: Problem, size: int, *, seed: int = 0) -> Problem:
    """Keep at most `size` training prompts of each fold, drawn by chance."""
    folds = []
    for fold in problem.folds:
        drawn = np.random.default_rng(seed).permutation(fold.train)[:size]
        folds.append(replace(fold, train=np.sort(drawn)))
    kept = replace(problem, folds=tuple(folds))
    learnt = problem.scores[kept.train_rows]
    if not np.isfinite(learnt).any(axis=0).all():
        raise SetupError(f"--train-size {size} leaves a model without an outcome to learn from")
    return kept


def build(
    data: RoutingData,
    training: Bools | None,
    *,
    left_out: str | None = None,
    seed: int = 0,
    notes: Iterable[str] = (),
) -> Problem:
    """Turn a set into arrays; without `training` every row is learnt from and judged, in folds."""
    count, said = len(data.prompts), [*data.notes, *notes]
    measured: Bools = np.asarray(np.isfinite(data.scores).any(axis=1))
    may_train = measured if training is None else measured & training
    may_test = measured if training is None else measured & ~training
    tainted = label.contaminated(data.labels, count) & may_test
    data, lost = with_outcomes(data, may_train)
    if lost:
        said.append(f"models without an outcome to learn from: {', '.join(lost)}")
        measured = np.asarray(np.isfinite(data.scores).any(axis=1))
        may_train, may_test = may_train & measured, may_test & measured
    if tainted.any():
        said.append(f"{int(tainted.sum())} contaminated prompts are not judged")
    if gaps := int(np.isnan(data.scores[may_test & ~tainted]).sum()):
        said.append(f"{gaps} cells to judge are not measured: nobody may choose them")
    folds, dropped = unlearnt(
        _folds(data, training, may_train, may_test & ~tainted, left_out, seed), data.prompts
    )
    if dropped:
        said.append(f"{dropped} prompts are not judged: their text is also learnt from")
    costs = cost_model(data)
    originals = label.originals(data.labels, data.prompt_ids)
    return Problem(
        name=data.name,
        prompts=data.prompts,
        models=data.models,
        scores=data.scores,
        costs=costs.usd,
        cost_source=costs.source,
        tasks=task_names(data.labels, count),
        groups=group_names(data.labels, count),
        originals=originals,
        prompt_ids=data.prompt_ids,
        families=label.families(data.prompts, originals),
        folds=tuple(folds),
        notes=tuple(said),
        signals=data.signals,
        dropped=dropped,
    )


def task_names(labels: Mapping[str, Sequence[object]], count: int) -> tuple[str, ...]:
    """Name each prompt's task by the first label that tells prompts apart and that it has."""
    return label.names(labels, label.telling(labels, label.TASK_LABELS), count)


def group_names(labels: Mapping[str, Sequence[object]], count: int) -> tuple[str, ...] | None:
    """Return the label `group` of each prompt, or None if the set has none."""
    if label.GROUP_LABEL not in labels:
        return None
    return label.names(labels, (label.GROUP_LABEL,), count)


def _folds(
    data: RoutingData,
    training: Bools | None,
    may_train: Bools,
    may_test: Bools,
    left_out: str | None,
    seed: int,
) -> list[Fold]:
    if left_out is None and training is None:
        together = label.families(data.prompts, label.originals(data.labels, data.prompt_ids))
        return crossed_folds(list(map(str, together)), may_test, seed)
    if left_out is None:
        return single_fold(may_train, may_test)
    count = len(data.prompts)
    candidates = label.TASK_LABELS if left_out == "task" else label.DOMAIN_LABELS
    telling = label.telling(data.labels, candidates)
    if not telling:
        raise SetupError(
            f"'{data.name}' has no label to leave a {left_out} out by: none of "
            f"{', '.join(candidates)} tells its prompts apart"
        )
    names = label.names(data.labels, telling, count)
    return leave_out(names, may_train, may_test, what=left_out, seed=seed)


def with_outcomes(data: RoutingData, may_train: Bools) -> tuple[RoutingData, list[str]]:
    """Leave out models of which there is nothing to learn, and name them."""
    known: Bools = np.asarray(np.isfinite(data.scores[may_train]).any(axis=0))
    kept = [name for name, has in zip(data.models, known, strict=True) if has]
    lost = [name for name, has in zip(data.models, known, strict=True) if not has]
    if not kept:
        raise SetupError(f"'{data.name}' has no outcome to learn from")
    return (of_pool(data, kept) if lost else data), lost
