"""llmrouter-lib 0.4.0: its routers and trainers, configured as its repository configures them.

Two calls are replaced: the embedding of a query by Longformer (a hub checkpoint) by our vectors,
and the call to the chosen model, whose outcome is recorded, by nothing.
"""

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from llmrouter import models

from collegium.evals.core.arrays import Floats
from collegium.evals.peers.exchange import Task, serve
from collegium.evals.routing.choosing import Choice

ROUTERS: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "knn": ("knnrouter", "KNNRouter", "KNNRouterTrainer", {}),
    "svm": ("svmrouter", "SVMRouter", "SVMRouterTrainer", {"C": 1.0, "gamma": "scale"}),
    "mlp": ("mlprouter", "MLPRouter", "MLPTrainer", {}),
    "mf": ("mfrouter", "MFRouter", "MFRouterTrainer", {"epochs": 5}),
    "elo": ("elorouter", "EloRouter", "EloRouterTrainer", {}),
    "graph": ("graphrouter", "GraphRouter", "GraphTrainer", {}),
}
"""Each router's module, classes and hyperparameters: those of the repository's `configs/` that are
not the code's defaults. (`probability` of its SVM is left out: it changes no choice.)"""


def choose(task: Task, folder: Path) -> Choice:
    """Train a router and return its choices."""
    np.random.seed(task.seed)
    torch.manual_seed(task.seed)
    module, router_class, trainer_class, hyperparameters = ROUTERS[task.router]
    router = getattr(models, router_class)(str(configuration(task, folder, hyperparameters)))
    getattr(models, trainer_class)(router, device="cpu").train()
    code = importlib.import_module(f"llmrouter.models.{module}.router")
    vectors = {text: tensor(vector) for text, vector in task.vectors.items()}
    code.get_longformer_embedding = vectors.__getitem__  # type: ignore[attr-defined]
    code.call_api = lambda request, **options: {}  # type: ignore[attr-defined]
    routed = router.route_batch([{"query": prompt} for prompt in task.new_prompts])
    return Choice(np.array([int(row["model_name"]) for row in routed]))


def configuration(task: Task, folder: Path, hyperparameters: dict[str, Any]) -> Path:
    """Write the files that its loader reads, and return the YAML that names them."""
    with (folder / "routing.jsonl").open("w", encoding="utf-8") as file:
        for row in outcomes(task):
            file.write(json.dumps(row) + "\n")
    torch.save(tensor(task.X), folder / "vectors.pt")
    if task.router == "mf":
        hyperparameters = {**hyperparameters, "text_dim": task.X.shape[1]}
    suffix = "pt" if task.router == "graph" else "pkl"
    trained = str(folder / f"trained.{suffix}")
    settings = {
        "data_path": {
            "routing_data_train": str(folder / "routing.jsonl"),
            "query_embedding_data": str(folder / "vectors.pt"),
        },
        "model_path": {
            "ini_model_path": "",
            "save_model_path": trained,
            "load_model_path": trained,
        },
        "metric": {"weights": {"performance": 1, "cost": 0, "llm_judge": 0}},
        "hparam": hyperparameters,
        "api_endpoint": "unused",
    }
    path = folder / "router.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return path


def tensor(vectors: Floats) -> torch.Tensor:
    """Return vectors in the precision of its networks."""
    return torch.from_numpy(vectors.astype(np.float32))


def outcomes(task: Task) -> list[dict[str, Any]]:
    """Return a row a measured cell; the first best row of a query becomes its label."""
    return [
        {
            "query": prompt,
            "embedding_id": row,
            "model_name": str(model),
            "performance": float(task.y[row, model]),
        }
        for row, prompt in enumerate(task.prompts)
        for model in task.best_first
        if np.isfinite(task.y[row, model])
    ]


if __name__ == "__main__":
    serve(choose)
