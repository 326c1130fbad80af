"""Inside vLLM our kernels compute what a checkpoint's codes mean, in every scheme."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.kernels.moe.gaps import FLOATS, INTEGERS, Gaps, gaps
from tests.kernels.moe.quantised import (
    MISREAD,
    PROJECTIONS,
    SCHEMES,
    change_experts,
    write,
    write_gpt_oss,
    write_plain,
)
from tests.kernels.moe.vllm_tokens import asked

pytestmark = pytest.mark.slow
NAMES = (*SCHEMES, "mxfp4", "plain+experts_int8")
CLASSES = {
    "int8": "CollegiumInt8Experts",
    "int4": "CollegiumInt4Experts",
    "gptq": "CollegiumInt4Experts",
    "fp8": "CollegiumFp8Experts",
    "mxfp4": "CollegiumMxfp4Experts",
    "plain+experts": "CollegiumInt8Experts",
}
EXACT = 1e-3  # in float32


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Mixtral-style model in every scheme, and a gpt-oss-style one in mxfp4."""
    folder = tmp_path_factory.mktemp("quantised-models")
    write_plain(folder / "plain")
    write(folder / "plain", folder)
    write_gpt_oss(folder)
    return folder


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The references are too small for two: beside other work a comparison takes seconds so."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def floats(models: Path, name: str) -> Any:
    """The float32 model that a name's codes mean."""
    from transformers import AutoModelForCausalLM

    meant = "int8" if name == "plain+experts_int8" else name
    folder = models / (meant if meant == "plain" else f"{meant}-meant")
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def limit(name: str) -> Gaps:
    """What a scheme's rounding may do."""
    return FLOATS if name.startswith(("fp8", "mxfp4")) else INTEGERS


@pytest.mark.parametrize("name", NAMES)
def test_what_the_codes_mean(models: Path, name: str) -> None:
    """All log-probabilities are the reference's, and greedy tokens are its best but for ties."""
    said = asked(models, NAMES, dtype="bfloat16")[name]
    assert said["experts"] == CLASSES[name.partition("-")[0].partition("_")[0]]
    assert sum(len(set(tokens)) for tokens in said["tokens"]) > 8
    assert gaps(said, floats(models, name)).within(limit(name))


@pytest.mark.parametrize("name", NAMES)
def test_scales_that_are_off_by_a_tenth_would_be_seen(models: Path, name: str) -> None:
    """The same comparison fails where the scales of one projection mean a tenth more."""
    said, model = asked(models, NAMES, dtype="bfloat16")[name], floats(models, name)
    for projection in PROJECTIONS:
        change_experts(model, lambda weight: 1.1 * weight, names=(projection,))
        assert gaps(said, model).beyond(limit(name))
        change_experts(model, lambda weight: weight / 1.1, names=(projection,))


@pytest.mark.parametrize("reading", MISREAD)
@pytest.mark.parametrize("name", ["int4-w4a16", "int4-w4a8", "gptq"])
def test_codes_read_otherwise_would_be_seen(models: Path, name: str, reading: str) -> None:
    """Zero points, groups and the order of codes; and the floats that the codes came from."""
    model = floats(models, "plain")
    change_experts(model, MISREAD[reading])
    found = gaps(asked(models, NAMES, dtype="bfloat16")[name], model)
    assert found.beyond(limit(name), times=2)


def test_the_same_tokens_in_compiled_mode(models: Path) -> None:
    """vLLM traces and compiles round our op, which stays opaque to it; also in quantised layers."""
    names = ("plain:float32", "int4-w4a16")
    said = asked(models, names, dtype="bfloat16", mode="compiled")
    plain, int4 = (said[name] for name in names)
    assert plain["experts"] == "CollegiumExperts"
    assert gaps(plain, floats(models, "plain")).within(Gaps(EXACT, EXACT))
    assert int4["experts"] == "CollegiumInt4Experts"
    assert gaps(int4, floats(models, "int4-w4a16")).within(limit("int4"))
