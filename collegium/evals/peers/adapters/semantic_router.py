"""semantic-router 1.1.1: a route per model, whose utterances are the prompts it is best at.

Its `IndexedRouter` with its defaults: the mean similarity of each route's among the five nearest
utterances. Its `fit` is left out: it maps scores to confidence and never changes their order.
"""

from pathlib import Path
from typing import Any

import numpy as np
from semantic_router import IndexedRouter, Route
from semantic_router.encoders import DenseEncoder

from collegium.evals.peers.exchange import Task, serve
from collegium.evals.routing.choosing import Choice


class Lookup(DenseEncoder):
    """An encoder that knows the vectors of all texts."""

    name: str = "lookup"
    vectors: dict[str, Any]

    def __call__(self, docs: list[Any]) -> list[list[float]]:
        """Return the vectors of texts."""
        return [self.vectors[text].tolist() for text in docs]


def routes(task: Task) -> list[Route]:
    """Return a route for every model that is best at some prompt."""
    labels = task.labels.tolist()
    return [
        Route(
            name=str(model),
            utterances=[
                prompt for prompt, best in zip(task.prompts, labels, strict=True) if best == model
            ],
        )
        for model in sorted(set(labels))
    ]


def choose(task: Task, folder: Path) -> Choice:
    """Return the model of the route that each new prompt takes; it has no threshold to miss."""
    router = IndexedRouter(encoder=Lookup(vectors=task.vectors), routes=routes(task))
    return Choice(np.array([int(router(prompt).name) for prompt in task.new_prompts]))


if __name__ == "__main__":
    serve(choose)
