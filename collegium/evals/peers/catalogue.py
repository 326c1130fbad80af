"""The available peers: their packages, routers and requirements."""

from collections.abc import Sequence
from dataclasses import dataclass

from collegium.errors import SetupError


@dataclass(frozen=True)
class Package:
    """A project on PyPI, and those of its routers that train and route without a network."""

    name: str
    version: str
    adapter: str
    """The module of `collegium.evals.peers.adapters` that runs in its environment."""
    routers: tuple[str, ...]
    also: tuple[str, ...]
    """Pinned packages that the used modules import, beyond those of our own environment."""
    pairs_only: bool = False
    """Whether its routers choose between two models, a strong and a weak one."""

    @property
    def requirements(self) -> tuple[str, ...]:
        """Everything to install, all of it with --no-deps."""
        return (f"{self.name}=={self.version}", *self.also)

    def full_name(self, router: str) -> str:
        """Name one of its routers, as a row of the table and as an option do."""
        return self.name if self.routers == (self.name,) else f"{self.name}/{router}"


DATASETS = (
    "datasets==5.2.0",
    "multiprocess==0.70.19",
    "pandas==3.1.1",
    "pyarrow==26.0.1",
    "xxhash==4.1.0",
)
PACKAGES = (
    Package(
        "llmrouter-lib",
        "0.4.0",
        "llmrouter_lib",
        ("knn", "svm", "mlp", "mf", "elo", "graph"),
        (*DATASETS, "torch-geometric==2.8.1"),
    ),
    Package(
        "semantic-router",
        "1.1.1",
        "semantic_router",
        ("semantic-router",),
        # The clients of embedding APIs, which its encoders import and we don't call. Newer ones of
        # Mistral and Voyage lack the names it imports, or bring LangChain.
        (
            "aiolimiter==1.3.0",
            "aurelio-sdk==0.0.19",
            "cohere==7.3.1",
            "colorlog==6.12.0",
            "mistralai==1.12.4",
            "tenacity==9.2.1",
            "voyageai==0.2.3",
        ),
    ),
    Package("routellm", "0.2.0", "routellm", ("mf", "sw_ranking"), DATASETS, pairs_only=True),
)


def known() -> dict[str, tuple[Package, str]]:
    """Return every router that can be asked for, by its full name."""
    return {
        package.full_name(router): (package, router)
        for package in PACKAGES
        for router in package.routers
    }


def wanted(names: Sequence[str]) -> dict[str, tuple[Package, str]]:
    """Return the routers of these names; a package's name means all of its routers."""
    found: dict[str, tuple[Package, str]] = {}
    for name in names:
        every = {full: each for full, each in known().items() if name in (full, each[0].name)}
        if not every:
            raise SetupError(
                f"unknown peer '{name}'; available: "
                + ", ".join(package.name for package in PACKAGES)
                + " with all their routers, and "
                + ", ".join(full for full in known() if "/" in full)
            )
        found |= every
    return found
