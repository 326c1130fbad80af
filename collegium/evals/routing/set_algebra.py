"""Restrict routing sets to some models, and concatenate them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from collegium.errors import SetupError
from collegium.evals.core.arrays import Bools, Floats
from collegium.evals.core.data import RoutingData


def of_pool(data: RoutingData, pool: Sequence[str]) -> RoutingData:
    """Keep these models, in the set's order; all of them where the pool is empty."""
    if not pool:
        return data
    if unknown := [name for name in pool if name not in data.models]:
        raise SetupError(
            f"'{data.name}' has no outcomes of {', '.join(unknown)}; it has those of "
            f"{', '.join(data.models)}"
        )
    kept = [index for index, name in enumerate(data.models) if name in pool]
    return replace(
        data,
        models=tuple(data.models[index] for index in kept),
        scores=data.scores[:, kept],
        extras={name: table[:, kept] for name, table in data.extras.items()},
        sources=None if data.sources is None else data.sources[:, kept],
    )


def put_together(
    lesson: RoutingData, exam: RoutingData
) -> tuple[RoutingData, Bools, tuple[str, ...]]:
    """Put a set to judge under one to learn from: the models that both have.

    Also return which rows are learnt from, and what was left out.
    """
    common = [name for name in lesson.models if name in exam.models]
    if not common:
        raise SetupError(
            f"'{lesson.name}' and '{exam.name}' have no model in common: "
            f"{', '.join(lesson.models)} against {', '.join(exam.models)}"
        )
    notes = tuple(
        f"models without outcomes in '{there.name}', so left out: {', '.join(missing)}"
        for there, here in ((exam, lesson), (lesson, exam))
        if (missing := sorted(set(here.models) - set(common)))
    )
    training = np.arange(len(lesson.prompts) + len(exam.prompts)) < len(lesson.prompts)
    return stacked(of_pool(lesson, common), of_pool(exam, common)), training, notes


def of_rows(data: RoutingData, kept: Bools) -> RoutingData:
    """Keep the prompts for which `kept`, shape (prompts,), is true."""
    rows = np.flatnonzero(kept)
    return replace(
        data,
        prompt_ids=tuple(data.prompt_ids[row] for row in rows),
        prompts=tuple(data.prompts[row] for row in rows),
        labels={name: tuple(column[row] for row in rows) for name, column in data.labels.items()},
        scores=data.scores[rows],
        extras={name: table[rows] for name, table in data.extras.items()},
        sources=None if data.sources is None else data.sources[rows],
    )


def stacked(first: RoutingData, second: RoutingData) -> RoutingData:
    """Put two sets of the same models under one another; models are matched by name.

    Who gave the marks is not kept.
    """
    order = [second.models.index(name) for name in first.models]
    sizes = len(first.prompts), len(second.prompts)
    extras = {
        name: np.vstack(
            [
                _or_nothing(first.extras.get(name), first.scores.shape),
                _or_nothing(second.extras.get(name), second.scores.shape)[:, order],
            ]
        )
        for name in {**first.extras, **second.extras}
    }
    labels = {
        name: (
            *first.labels.get(name, (None,) * sizes[0]),
            *second.labels.get(name, (None,) * sizes[1]),
        )
        for name in {**first.labels, **second.labels}
    }
    return RoutingData(
        second.name if second.name == first.name else f"{first.name} → {second.name}",
        first.prompt_ids + second.prompt_ids,
        first.prompts + second.prompts,
        labels,
        first.models,
        np.vstack([first.scores, second.scores[:, order]]),
        extras,
        {**second.prices, **first.prices},
        notes=tuple(dict.fromkeys((*first.notes, *second.notes))),
    )


def _or_nothing(table: Floats | None, shape: tuple[int, ...]) -> Floats:
    return np.full(shape, np.nan) if table is None else table
