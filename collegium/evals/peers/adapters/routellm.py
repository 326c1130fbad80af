"""routellm 0.2.0: its matrix factorisation and similarity-weighted ranking, for two models.

Both are its own classes, trained by its own loops; OpenAI's client, which it asks for embeddings,
is replaced by our vectors. A prompt on which one model scored more is a battle that it won, equal
scores are a tie. The pair takes the places of the two models that RouteLLM's defaults name. A
prompt goes to the strong model where its win rate is at least 0.5.
"""

import json
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from routellm.routers import routers
from routellm.routers.matrix_factorization import model as factorisation
from routellm.routers.matrix_factorization import train_matrix_factorization as training

from collegium.evals.core.arrays import Floats
from collegium.evals.peers.exchange import Task, serve
from collegium.evals.routing.choosing import Choice

STRONG, WEAK = "gpt-4-1106-preview", "mixtral-8x7b-instruct-v0.1"
THRESHOLD = 0.5
SHORTEST = 16
"""Its `preprocess_battles` drops shorter prompts; their vectors have to go with them."""
# The constants of the script at the end of train_matrix_factorization.py.
DIM, BATCH, EPOCHS, ALPHA, RATE, DECAY = 128, 64, 100, 0.1, 3e-4, 1e-5


def choose(task: Task, folder: Path) -> Choice:
    """Train a router; its win rates rank the two models, and choose at a threshold of 0.5."""
    random.seed(task.seed)
    np.random.seed(task.seed)
    torch.manual_seed(task.seed)
    rates = win_rates(task, folder)
    strong, weak = task.best_first
    ranking = np.zeros((len(rates), 2))
    ranking[:, strong], ranking[:, weak] = rates, 1 - rates
    return Choice(np.where(rates >= THRESHOLD, strong, weak), ranking)


class Embeddings:
    """Stands where OpenAI's client stood: `.embeddings.create(input=[text])`."""

    def __init__(self, vectors: dict[str, Floats]) -> None:
        self._vectors = vectors
        self.embeddings = self

    def create(self, input: list[str], model: str) -> SimpleNamespace:
        """Return our vector as the API would return its own."""
        return SimpleNamespace(data=[SimpleNamespace(embedding=self._vectors[input[0]].tolist())])


def battles(task: Task) -> list[dict[str, Any]]:
    """Return a battle a prompt on which both models were measured."""
    strong, weak = task.best_first
    return [
        {
            "idx": row,
            "model_a": STRONG,
            "model_b": WEAK,
            "winner": winner(task.y[row, strong], task.y[row, weak]),
        }
        for row in range(len(task.prompts))
        if np.isfinite(task.y[row]).all()
    ]


def winner(strong: float, weak: float) -> str:
    """Name the winner as RouteLLM does."""
    return "tie" if strong == weak else "model_a" if strong > weak else "model_b"


def factorised(task: Task, folder: Path) -> Any:
    """Train the matrix factorisation as its script does, and load it as its router does."""
    decided = [battle for battle in battles(task) if battle["winner"] != "tie"]
    random.shuffle(decided)
    cut = int(0.95 * len(decided))
    np.save(folder / "vectors.npy", task.X)
    network = training.MFModel_Train(
        dim=DIM,
        num_models=len(factorisation.MODEL_IDS),
        num_prompts=len(task.prompts),
        text_dim=task.X.shape[1],
        npy_path=folder / "vectors.npy",
    )
    learnt, held_out = (training.PairwiseDataset(part) for part in (decided[:cut], decided[cut:]))
    training.train_loops(
        network,
        learnt.get_dataloaders(BATCH, shuffle=True),
        held_out.get_dataloaders(1024, shuffle=False),
        lr=RATE,
        weight_decay=DECAY,
        alpha=ALPHA,
        num_epochs=EPOCHS,
        device="cpu",
    )
    size = {"text_dim": task.X.shape[1], "num_classes": 1, "use_proj": True}
    served = factorisation.MFModel(dim=DIM, num_models=len(factorisation.MODEL_IDS), **size)
    # The serving class has each layer in a Sequential, and asks for vectors where training has Q.
    served.P.load_state_dict(network.P.state_dict())
    served.text_proj[0].load_state_dict(network.text_proj.state_dict())
    served.classifier[0].load_state_dict(network.classifier.state_dict())
    served.save_pretrained(folder / "factorised")
    return routers.MatrixFactorizationRouter(str(folder / "factorised"), text_dim=task.X.shape[1])


def ranked(task: Task, folder: Path) -> Any:
    """Give the similarity-weighted ranking its battles and their vectors as local data sets."""
    long = [
        battle for battle in battles(task) if len(task.prompts[battle["idx"]].strip()) >= SHORTEST
    ]
    rows = [battle["idx"] for battle in long]
    table = {
        "prompt": [json.dumps([task.prompts[row]]) for row in rows],
        "model_a": [battle["model_a"] for battle in long],
        "model_b": [battle["model_b"] for battle in long],
        "winner_model_a": [int(battle["winner"] == "model_a") for battle in long],
        "winner_model_b": [int(battle["winner"] == "model_b") for battle in long],
    }
    for name, columns in (("battles", table), ("vectors", {"embeddings": task.X[rows].tolist()})):
        (folder / name).mkdir()
        Dataset.from_dict(columns).to_parquet(folder / name / "train.parquet")
    return routers.SWRankingRouter([str(folder / "battles")], [str(folder / "vectors")])


def win_rates(task: Task, folder: Path) -> Floats:
    """Return the strong model's forecast win rate on each new prompt, shape (n,)."""
    client = Embeddings(task.vectors)
    routers.OPENAI_CLIENT = client
    factorisation.OPENAI_CLIENT = client
    router = {"mf": factorised, "sw_ranking": ranked}[task.router](task, folder)
    return np.array([router.calculate_strong_win_rate(text) for text in task.new_prompts])


if __name__ == "__main__":
    serve(choose)
