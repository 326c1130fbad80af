"""What vLLM loads at its start (entry point `vllm.general_plugins`): our kernels in its seams."""

from __future__ import annotations

import logging
import os

log = logging.getLogger(__name__)

SWITCH = "COLLEGIUM_LORA"  # off leaves vLLM as it is
TESTED = "0.32."
GROUPED_LORA = "collegium.kernels.lora.GroupedLora"


def register() -> None:
    """Let vLLM's CPU platform compute LoRA by groups; leave a version that we don't know alone."""
    if os.environ.get(SWITCH, "auto") == "off":
        return
    import vllm
    from vllm.platforms.cpu import CpuPlatform

    if not vllm.__version__.startswith(TESTED):
        log.warning("Collegium's LoRA needs vLLM %sx, not %s: off", TESTED, vllm.__version__)
        return
    CpuPlatform.get_punica_wrapper = classmethod(lambda cls: GROUPED_LORA)
