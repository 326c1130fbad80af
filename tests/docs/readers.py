"""What the reader of a page has before its first block: names, files, packages."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Names = dict[str, Any]


def _contributing() -> Names:
    from collegium.errors import ExpertUnavailable, SetupError
    from collegium.router.decision import Forecast
    from tests.web.conftest import Web

    listener = socket.socket()
    return {
        "Forecast": Forecast,
        "SetupError": SetupError,
        "ExpertUnavailable": ExpertUnavailable,
        "Web": Web,
        "listener": listener,
        "host": "127.0.0.1",
        "port": 0,
    }


def _api() -> Names:
    line = {
        "custom_id": "a",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"model": "auto", "messages": [{"role": "user", "content": "sql 1"}]},
    }
    Path("questions.jsonl").write_text(json.dumps(line))
    return {}


def _applications() -> Names:
    from openai import OpenAI

    return {"OpenAI": OpenAI}


def _outcomes() -> Names:
    from tests.evals.routing.worlds import SkillEncoder, save, vectors, world

    data = world()
    save(data, Path("my-set"))
    return {"X": vectors(data.prompts), "encoder": SkillEncoder()}


def _bandit() -> Names:
    from collegium.router.online.bandit import Bandit
    from collegium.router.online.features import fit_projection

    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(60, 16))
    return {
        "bandit": Bandit(fit_projection(vectors), 3),
        "x": vectors[0],
        "quality": np.array([0.5, 0.7, 0.9]),
        "burden": np.array([0.0, 0.1, 0.3]),
        "random": rng,
    }


def _kernels() -> Names:
    import torch

    torch.manual_seed(0)
    experts, hidden, inner, tokens = 64, 128, 64, 5
    return {
        "w13": torch.randn(experts, 2 * inner, hidden) / 10,
        "w2": torch.randn(experts, hidden, inner) / 10,
        "x": torch.randn(tokens, hidden),
        "logits": torch.randn(tokens, experts),
    }


def _predictors() -> Names:
    rng = np.random.default_rng(0)
    tasks = [f"task{i % 3}" for i in range(90)]
    X = rng.normal(size=(90, 12)) + 3 * np.eye(3, 12)[[i % 3 for i in range(90)]]
    return {
        "X": X,
        "y": (rng.random((90, 2)) < 0.5).astype(np.float64),
        "X_new": X[:4],
        "tasks": tasks,
        "phrasings": [f"phrasing{i % 9}" for i in range(90)],
        "folder": Path("predictor"),
        "digest": "0" * 64,
    }


NAMES: dict[str, Callable[[], Names]] = {
    "CONTRIBUTING.md": _contributing,
    "docs/api.md": _api,
    "docs/guides/applications.md": _applications,
    "docs/guides/evaluate-routing.md": _outcomes,
    "docs/guides/grow-without-retraining.md": _bandit,
    "docs/guides/kernels.md": _kernels,
    "docs/guides/predictors.md": _predictors,
    "docs/guides/sparse-experts.md": _kernels,
}


def prepare(page: str) -> Names:
    """The names that the reader of a page has; files are written to the working folder."""
    random.seed(0)
    return NAMES[page]() if page in NAMES else {}
