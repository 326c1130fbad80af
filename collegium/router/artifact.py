"""A fitted router as files: arrays in safetensors, a card in JSON. No pickles."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from collegium.errors import ArtifactRejected
from collegium.extensions import extensions
from collegium.registry.application import Application
from collegium.settings import Settings

# scikit-learn takes most of a second to load, which naming a router's folder should not cost:
# `save`, `_assembled` and what they call import what they need.
if TYPE_CHECKING:
    from collegium.router.beliefs.beliefs import Beliefs
    from collegium.router.heads import SkillHead

Arrays = dict[str, NDArray[Any]]
FORMAT = "collegium-router-3"
BUNDLED = Path(__file__).parent / "weights"
"""The bundled routers, one folder per built-in encoder."""
ARRAYS, CARD = "router.safetensors", "card.json"


@dataclass(frozen=True)
class FittedRouter:
    """Everything that was learnt about the experts in `fingerprints`, in this order.

    `tokens` and `milliseconds_per_token` are means by expert and skill, shape (e, skills), and
    `application_tokens` by application of the beliefs, shape (applications, e). `held_tokens`
    (n, 1 + e) has the tokens of each marked prompt and the expected ones of answers to it.
    """

    encoder: str
    fingerprints: tuple[str, ...]
    beliefs: Beliefs
    skills: SkillHead
    tokens: NDArray[np.float64]
    milliseconds_per_token: NDArray[np.float64]
    application_tokens: NDArray[np.float64]
    held_tokens: NDArray[np.float64]
    card: Mapping[str, Any]
    applications: tuple[Application, ...] = ()
    """The applications of the marked prompts, as the service recognises them."""
    learnt_from: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))
    """`prompt_marks` of its training prompts, so that it isn't evaluated on them."""

    @property
    def dimensions(self) -> int:
        """The dimensions of the vectors that it was fitted on."""
        return len(self.beliefs.features_.middle_)


def prompt_marks(prompts: Sequence[str]) -> NDArray[np.uint64]:
    """64 bits of each prompt's hash, shape (n,): they tell prompts apart and reveal none."""
    digests = (hashlib.sha256(p.encode(errors="surrogatepass")).digest() for p in prompts)
    return np.array([int.from_bytes(d[:8], "little") for d in digests], dtype=np.uint64)


def save(router: FittedRouter, folder: Path) -> None:
    """Write both files; the card contains the arrays' hash."""
    from safetensors.numpy import save as to_bytes

    from collegium.router.beliefs.saving import pack_beliefs

    folder.mkdir(parents=True, exist_ok=True)
    arrays: Arrays = {}
    beliefs = pack_beliefs(router.beliefs, arrays)
    arrays |= _arrays(router)
    data = to_bytes({name: _compact(array) for name, array in arrays.items()})
    card = {
        "format": FORMAT,
        "encoder": router.encoder,
        "dimensions": router.dimensions,
        "fingerprints": list(router.fingerprints),
        "skills": [str(name) for name in router.skills.classes_],
        "arrays_sha256": hashlib.sha256(data).hexdigest(),
        **{k: v for k, v in router.card.items() if k not in _RESERVED},
        "beliefs": beliefs,
        "applications": [_described(application) for application in router.applications],
    }
    # A service that follows the folder looks at the card, which comes last.
    for name, content in ((ARRAYS, data), (CARD, (json.dumps(card, indent=1) + "\n").encode())):
        draft = folder / f"{name}.draft"
        draft.write_bytes(content)
        draft.replace(folder / name)


LEARNT_FROM = "learnt_from"
_RESERVED = (
    "format",
    "encoder",
    "dimensions",
    "fingerprints",
    "skills",
    "arrays_sha256",
    "beliefs",
    "applications",
)


def bundled(encoder: str) -> Path:
    """The folder of the router that ships for an encoder."""
    return BUNDLED / encoder


def folder_of(settings: Settings) -> Path:
    """Return the folder of the setting `router_dir`, or that of the bundled router.

    ArtifactRejected if none ships for the encoder.
    """
    if settings.router_dir is None and not extensions().is_builtin("encoder", settings.encoder):
        raise ArtifactRejected(
            f"there is no bundled router for the encoder '{settings.encoder}': fit one "
            "with `collegium router train`, and name its folder in the setting router_dir"
        )
    return settings.router_dir or bundled(settings.encoder)


def load(folder: Path) -> FittedRouter:
    """Read a fitted router; ArtifactRejected says what is wrong with it."""
    try:
        card, data = (folder / CARD).read_bytes(), (folder / ARRAYS).read_bytes()
    except OSError as exc:
        raise ArtifactRejected(f"no readable router in {folder}: {exc}") from exc
    return read(card, data, str(folder))


def read(card_text: bytes, data: bytes, where: str) -> FittedRouter:
    """Load a router from the contents of its two files at `where`."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    try:
        card = json.loads(card_text)
    except (ValueError, RecursionError) as exc:
        raise ArtifactRejected(f"no readable router in {where}: {exc}") from exc
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise ArtifactRejected(f"{where}: {CARD} is not the card of a {FORMAT} router")
    if hashlib.sha256(data).hexdigest() != card.get("arrays_sha256"):
        raise ArtifactRejected(f"{where}: {ARRAYS} is damaged: it does not match its card")
    try:
        return _assembled(card, {name: _wide(array) for name, array in from_bytes(data).items()})
    except (LookupError, TypeError, ValueError, AttributeError, SafetensorError) as exc:
        raise ArtifactRejected(f"the router in {where} is incomplete: {exc}") from exc


def _arrays(router: FittedRouter) -> Arrays:
    signatures = {
        f"application{i}": application.signature
        for i, application in enumerate(router.applications)
    }
    return {
        "skills.coef": router.skills.coef_,
        "skills.intercept": router.skills.intercept_,
        "tokens": router.tokens,
        "milliseconds_per_token": router.milliseconds_per_token,
        "application_tokens": router.application_tokens,
        "held_tokens": router.held_tokens,
        LEARNT_FROM: router.learnt_from,
    } | signatures


def _described(application: Application) -> dict[str, Any]:
    return {name: getattr(application, name) for name in DESCRIBED}


DESCRIBED = ("key", "name", "tenant", "tagged", "text", "seen", "variants")


def _compact(array: NDArray[Any]) -> NDArray[Any]:
    """Half the file: forecasts change by less than 1e-5."""
    return np.ascontiguousarray(array, np.float32 if array.dtype == np.float64 else array.dtype)


def _wide(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(np.float64) if array.dtype == np.float32 else array


def _assembled(card: dict[str, Any], arrays: Arrays) -> FittedRouter:
    from collegium.router.beliefs.saving import unpack_beliefs
    from collegium.router.heads import SkillHead

    _check_names([card["encoder"]], card["fingerprints"], card["skills"])
    experts, skills = len(card["fingerprints"]), len(card["skills"])
    beliefs = unpack_beliefs(card["beliefs"], arrays)
    dimensions = len(beliefs.features_.middle_)
    if card.get("dimensions", dimensions) != dimensions:
        raise ValueError(f"its vectors have {dimensions} dimensions, not {card['dimensions']}")
    expected = {
        "beliefs.rates": (experts,),
        "skills.coef": (skills, dimensions),
        "skills.intercept": (skills,),
        "tokens": (experts, skills),
        "milliseconds_per_token": (experts, skills),
        "application_tokens": (len(beliefs.applications_), experts),
        "held_tokens": (len(beliefs.held_.scores), 1 + experts),
    }
    for name, shape in expected.items():
        if arrays[name].shape != shape:
            raise ValueError(f"{name} has shape {arrays[name].shape}, expected {shape}")
        if name != "held_tokens" and not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name} is not finite")
    skill_head = SkillHead()
    skill_head.coef_, skill_head.intercept_ = arrays["skills.coef"], arrays["skills.intercept"]
    skill_head.classes_ = np.array(card["skills"])
    skill_head.n_features_in_ = dimensions
    return FittedRouter(
        card["encoder"],
        tuple(card["fingerprints"]),
        beliefs,
        skill_head,
        arrays["tokens"],
        arrays["milliseconds_per_token"],
        arrays["application_tokens"],
        arrays["held_tokens"],
        card,
        tuple(
            _application(known, _signature(arrays, i))
            for i, known in enumerate(card["applications"])
        ),
        arrays[LEARNT_FROM].astype(np.uint64),
    )


def _application(known: Any, signature: NDArray[np.uint64]) -> Application:
    described = {name: known[name] for name in DESCRIBED}
    usual = Application("")
    for name, value in described.items():
        if type(value) is not type(getattr(usual, name)):
            raise TypeError(f"an application's {name} can't be {value!r}")
    return Application(**described, signature=signature)


def _signature(arrays: Arrays, number: int) -> NDArray[np.uint64]:
    return arrays[f"application{number}"].astype(np.uint64)


def _check_names(*lists: Any) -> None:
    for names in lists:
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise TypeError(f"{names!r} are not names")
