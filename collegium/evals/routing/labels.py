"""The meaning of a prompt's labels for an evaluation: task, domain, group."""

from collections.abc import Mapping, Sequence

import numpy as np

from collegium.evals.core.arrays import Bools, Ints

Labels = Mapping[str, Sequence[object]]

TASK_LABELS = ("task", "category", "domain", "benchmark", "dataset", "application")
DOMAIN_LABELS = ("domain", "category", "group", "benchmark")
GROUP_LABEL = "group"
PARAPHRASE_LABEL = "paraphrase_of"
CONTAMINATED_LABEL = "contaminated"
UNLABELLED = "unlabelled"


def telling(labels: Labels, candidates: Sequence[str]) -> list[str]:
    """Return those candidates that tell prompts apart, in their order."""
    return [n for n in candidates if n in labels and len(set(map(_text, labels[n])) - {""}) > 1]


def names(labels: Labels, candidates: Sequence[str], count: int) -> tuple[str, ...]:
    """Name each prompt by the first of `candidates` that it has; `UNLABELLED` if it has none."""
    columns = [labels[name] for name in candidates if name in labels]
    return tuple(
        next((text for column in columns if (text := _text(column[row]))), UNLABELLED)
        for row in range(count)
    )


def contaminated(labels: Labels, count: int) -> Bools:
    """Say which prompts the set's authors exclude from tests, such as RouteLLM's."""
    column = labels.get(CONTAMINATED_LABEL, (None,) * count)
    return np.array([_text(value).lower() in ("1", "1.0", "true", "yes") for value in column])


def originals(labels: Labels, prompt_ids: Sequence[str]) -> tuple[str, ...]:
    """Return the prompt that each prompt paraphrases; itself if it is not a paraphrase."""
    column = labels.get(PARAPHRASE_LABEL, (None,) * len(prompt_ids))
    return tuple(_text(value) or own for value, own in zip(column, prompt_ids, strict=True))


def families(texts: Sequence[str], original: Sequence[str]) -> Ints:
    """Number what must stay together in cross-validation: paraphrases, and equal texts."""
    seen: dict[str, int] = {}
    found = []
    for text, root in zip(texts, original, strict=True):
        number = seen.get(f"id {root}", seen.get(f"text {text}", len(seen)))
        seen[f"id {root}"] = seen[f"text {text}"] = number
        found.append(number)
    return np.asarray(found, dtype=np.int64)


def _text(value: object) -> str:
    return "" if value is None else str(value).strip()
