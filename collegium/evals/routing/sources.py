"""Resolve names on the command line to problems: data sets, folders, pools, exclusions."""

from dataclasses import dataclass
from pathlib import Path

from collegium.errors import SetupError
from collegium.evals.core.data import data_root, data_sets, holds_set
from collegium.evals.routing.problem import Problem, read_problem, read_two, taught_by_fewer


@dataclass(frozen=True)
class Request:
    """What is to be judged on what."""

    datasets: tuple[str, ...] = ()
    """Folders, or names of sets under the data root; none means all of them."""
    train: str | None = None
    test: str | None = None
    """Two sets in place of `datasets`, named in the same way."""
    leave_out: str | None = None
    train_size: int | None = None
    pool: tuple[str, ...] = ()
    seed: int = 0
    data: Path | None = None
    """The data root, where it is not the usual one."""


def problems(request: Request) -> list[Problem]:
    """Read everything; what does not go together is a SetupError."""
    found = _two_folders(request) if request.train or request.test else _sets(request)
    if request.train_size is None:
        return found
    return [taught_by_fewer(each, request.train_size, seed=request.seed) for each in found]


def shared_set(name: str, data: Path | None) -> Path | None:
    """Return the folder of a shared set of this name, if there is one."""
    try:
        folder = data_root(data) / name
    except SetupError:
        return None
    return folder if holds_set(folder) else None


def _two_folders(request: Request) -> list[Problem]:
    if request.train is None or request.test is None:
        raise SetupError("--train and --test belong together: name both sets")
    if request.datasets:
        raise SetupError("name data sets or --train and --test, not both")
    return [
        read_two(
            set_folder(request.train, request.data),
            set_folder(request.test, request.data),
            pool=request.pool,
            left_out=request.leave_out,
            seed=request.seed,
        )
    ]


def _sets(request: Request) -> list[Problem]:
    folders = [set_folder(name, request.data) for name in request.datasets]
    return [
        read_problem(folder, pool=request.pool, left_out=request.leave_out, seed=request.seed)
        for folder in folders or data_sets(data_root(request.data))
    ]


def set_folder(name: str, data: Path | None) -> Path:
    """Return the folder that a person named, or that of a shared set; a SetupError if none is."""
    folder = Path(name) if Path(name).is_dir() else shared_set(name, data)
    if folder is None:
        raise SetupError(
            f"there is no data set '{name}': no folder of that name, and no set of "
            "this name in --data or COLLEGIUM_DATA"
        )
    return folder
