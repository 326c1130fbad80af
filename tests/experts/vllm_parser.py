"""vLLM's own parser of command lines, as the installed build has it.

`python tests/experts/vllm_parser.py` prints every option; then it reads one JSON list of arguments
a line, and prints for each what vLLM understood, or its refusal. No GPU is needed: nothing of the
engine is started.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any


def parser() -> Any:
    """The parser of vLLM's server."""
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    module = (
        "common" if find_spec("vllm.entrypoints.common.cli_args") else "launchers"
    )  # 0.33, 0.32
    found = import_module(f"vllm.entrypoints.{module}.cli_args")
    return found.make_arg_parser(FlexibleArgumentParser())


def parsed(made: Any, arguments: list[str]) -> dict[str, Any]:
    """What it understands of arguments; `error` where it refuses them."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return {name: _plain(value) for name, value in vars(made.parse_args(arguments)).items()}
    except SystemExit:
        return {"error": said.getvalue().strip().splitlines()[-1]}


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str | list | dict | None) else str(value)


def float32() -> list[str]:
    """The methods of quantisation whose activations may be float32."""
    from torch import float32
    from vllm.model_executor.layers.quantization import (
        QUANTIZATION_METHODS,
        get_quantization_config,
    )

    found = []
    for name in QUANTIZATION_METHODS:
        method = get_quantization_config(name)
        # ModelOpt's are methods of an instance, which they do not look at.
        if float32 in method.__new__(method).get_supported_act_dtypes():
            found.append(name)
    return found


def main() -> None:
    """Print options, and parse standard input."""
    with contextlib.redirect_stdout(sys.stderr):  # vLLM prints while it is imported
        made = parser()
        from vllm.reasoning import ReasoningParserManager
        from vllm.tool_parsers import ToolParserManager

        in_float32 = float32()
    options = [o[2:] for a in made._actions for o in a.option_strings if o.startswith("--")]
    tools, reasoning = ToolParserManager.lazy_parsers, ReasoningParserManager.lazy_parsers
    found = {"options": options, "tools": [*tools], "reasoning": [*reasoning]}
    sys.stdout.write(json.dumps({**found, "float32": in_float32}) + "\n")
    for line in sys.stdin:
        sys.stdout.write(json.dumps(parsed(made, json.loads(line))) + "\n")


if __name__ == "__main__":
    main()
