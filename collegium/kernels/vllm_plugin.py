"""The entry point `vllm.general_plugins`: installs our kernels in vLLM."""

from __future__ import annotations

import logging
import os
from typing import Literal, cast, get_args

from collegium.errors import KernelMisuse, SetupError

log = logging.getLogger(__name__)

SWITCH = "COLLEGIUM_LORA"  # off leaves vLLM's own LoRA
MOE_SWITCH = "COLLEGIUM_MOE"  # off, auto, force
TESTED = "0.32."
TESTED_ON_GPUS = ("0.32.", "0.33.")  # their selection of kernels; no kernel was run on a GPU
Switch = Literal["off", "auto", "force"]
GROUPED_LORA = "collegium.kernels.lora.GroupedLora"


def register() -> None:
    """Let vLLM's CPU platform compute grouped LoRA, and sparse layers with our kernels."""
    from vllm.platforms import current_platform

    if current_platform.is_cuda():
        _register_gpu()
        return
    _register_lora()
    _register_moe()


def _register_lora() -> None:
    if os.environ.get(SWITCH, "auto") == "off" or not _is_tested("LoRA"):
        return
    from vllm.platforms.cpu import CpuPlatform

    CpuPlatform.get_punica_wrapper = classmethod(lambda cls: GROUPED_LORA)


def _register_moe() -> None:
    """Install the kernels; `auto` leaves vLLM unchanged if ours can't be used, fail their check, or
    are slower.
    """
    wanted = moe_switch()
    if wanted == "off":
        return
    why_not = None if _is_tested("sparse layers") else f"vLLM is not {TESTED}x"
    why_not = why_not or (_slower() if wanted == "auto" else None)
    why_not = why_not or _self_check(fallback=wanted == "force")
    if why_not is not None:
        if wanted == "force":
            raise SetupError(f"{MOE_SWITCH}=force, but {why_not}")
        log.warning("Collegium's sparse layers are off: %s", why_not)
        return
    from collegium.kernels.moe import vllm_experts, vllm_left, vllm_methods, vllm_router

    vllm_experts.install()
    vllm_methods.install()
    vllm_router.install()
    vllm_left.install()


def _register_gpu() -> None:
    """Install the Triton experts, which are checked when a model's layers are built."""
    wanted = moe_switch()
    if wanted == "off":
        return
    if not _is_tested("sparse layers", TESTED_ON_GPUS):
        if wanted == "force":
            known = " or ".join(f"{version}x" for version in TESTED_ON_GPUS)
            raise SetupError(f"{MOE_SWITCH}=force, but vLLM is not {known}")
        return
    from collegium.kernels.moe import vllm_gpu

    vllm_gpu.install()


def moe_switch() -> Switch:
    """Return the value of the environment variable."""
    value = os.environ.get(MOE_SWITCH, "auto")
    for known in get_args(Switch):
        if value == known:
            return cast(Switch, known)
    raise SetupError(f"{MOE_SWITCH} must be off, auto or force, not '{value}'")


def _is_tested(part: str, versions: tuple[str, ...] = (TESTED,)) -> bool:
    import vllm

    if vllm.__version__.startswith(versions):
        return True
    known = " or ".join(f"{version}x" for version in versions)
    log.warning("Collegium's %s needs vLLM %s, not %s: off", part, known, vllm.__version__)
    return False


def _slower() -> str | None:
    """Return why vLLM's own kernels are the better choice here; None if ours are.

    On AMX tiles ours are about as fast in bfloat16 and faster for many tokens in other formats, on
    vectors several times slower than vLLM's on tiles (docs/guides/kernels.md has the tables).
    """
    import torch

    from collegium.kernels.moe.isa import Isa, chosen

    if not torch.cpu.get_capabilities().get("amx_bf16") or chosen() is Isa.AMX:
        return None
    return f"vLLM's own use this processor's AMX tiles, ours would not ({MOE_SWITCH}=force)"


def _self_check(*, fallback: bool) -> str | None:
    """Compute a small layer and compare; return what is wrong. The plain torch fallback is slow."""
    from vllm.platforms import current_platform

    from collegium.kernels.moe.self_check import problem

    if not current_platform.is_cpu():
        return "this is no CPU platform"
    try:
        return problem(fallback=fallback)
    except (KernelMisuse, RuntimeError, OSError) as exc:
        return f"the kernels don't run here: {exc}"
