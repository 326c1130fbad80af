"""llama.cpp's sparse layer as a contender: ggml's operators called through its C interface.

The layer is the graph that llama.cpp builds: `mul_mat_id`, SwiGLU, `mul_mat_id`, weights, a sum.
Types are the nearest: bf16, q8_0 (int8 in groups of 32) and q4_0 (int4 in groups of 32, in the
interleaved buffer that llama.cpp uses for it on x86).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from collegium.evals.kernel_layers import Batch
from collegium.kernels.moe.formats import Format

GGML_TYPES = {Format.BF16: 30, Format.INT8: 8, Format.INT4: 2}
GGML_F32, GGML_I32 = 0, 26
REPACKED = (Format.INT4,)  # on x86 ggml has no interleaved q8_0
LIBRARIES = ("libggml-base.so", "libggml-cpu.so", "libggml.so")
HEAP = 1 << 20  # bytes for descriptions of tensors and the graph

P, I64, SIZE = ctypes.c_void_p, ctypes.c_int64, ctypes.c_size_t


class InitParams(ctypes.Structure):
    """`ggml_init_params`: room for descriptions, and whether tensors are allocated apart."""

    _fields_ = (("size", SIZE), ("buffer", P), ("no_alloc", ctypes.c_bool))


SIGNATURES: dict[str, tuple[Any, ...]] = {  # result, then arguments
    "ggml_backend_alloc_ctx_tensors_from_buft": (P, P, P),
    "ggml_backend_alloc_ctx_tensors": (P, P, P),
    "ggml_backend_buffer_free": (None, P),
    "ggml_backend_buft_name": (ctypes.c_char_p, P),
    "ggml_backend_cpu_buffer_type": (P,),
    "ggml_backend_cpu_init": (P,),
    "ggml_backend_cpu_reg": (P,),
    "ggml_backend_cpu_set_n_threads": (None, P, ctypes.c_int),
    "ggml_backend_get_device": (P, P),
    "ggml_backend_graph_compute": (ctypes.c_int, P, P),
    "ggml_backend_reg_get_proc_address": (P, P, ctypes.c_char_p),
    "ggml_backend_tensor_get": (None, P, P, SIZE, SIZE),
    "ggml_backend_tensor_set": (None, P, P, SIZE, SIZE),
    "ggml_add": (P, P, P, P),
    "ggml_build_forward_expand": (None, P, P),
    "ggml_free": (None, P),
    "ggml_init": (P, InitParams),
    "ggml_mul": (P, P, P, P),
    "ggml_mul_mat_id": (P, P, P, P, P),
    "ggml_new_graph": (P, P),
    "ggml_new_tensor_2d": (P, P, ctypes.c_int, I64, I64),
    "ggml_new_tensor_3d": (P, P, ctypes.c_int, I64, I64, I64),
    "ggml_quantize_chunk": (SIZE, ctypes.c_int, P, P, I64, I64, I64, P),
    "ggml_row_size": (SIZE, ctypes.c_int, I64),
    "ggml_swiglu": (P, P, P),
    "ggml_view_2d": (P, P, P, I64, I64, SIZE, SIZE),
}


class Ggml:
    """The libraries of a folder; its attributes are the functions of `SIGNATURES`."""

    def __init__(self, folder: Path) -> None:
        # Globally, and the base first: the later ones look for its functions.
        self._libraries = [
            ctypes.CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL) for name in LIBRARIES
        ]
        self.backend = self.ggml_backend_cpu_init()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in SIGNATURES:
            raise AttributeError(name)
        function = next(getattr(it, name) for it in self._libraries if hasattr(it, name))
        function.restype, *function.argtypes = SIGNATURES[name]
        setattr(self, name, function)
        return cast(Callable[..., Any], function)

    def context(self) -> Any:
        """Room for descriptions of tensors."""
        return self.ggml_init(InitParams(HEAP, None, True))

    def repacking(self) -> Any:
        """The type of the buffer that interleaves weights as they are set."""
        name = b"ggml_backend_dev_get_extra_bufts"
        address = self.ggml_backend_reg_get_proc_address(self.ggml_backend_cpu_reg(), name)
        Listed = ctypes.CFUNCTYPE(ctypes.POINTER(P), P)(address)
        types = takewhile(bool, Listed(self.ggml_backend_get_device(self.backend)))
        return next(it for it in types if self.ggml_backend_buft_name(it) == b"CPU_REPACK")


@dataclass(frozen=True)
class Graph:
    """One batch size's layer: its inputs, its output and what has to be freed."""

    context: Any
    buffer: Any
    graph: Any
    x: Any
    ids: Any
    weights: Any
    out: Any


class LlamaCpp:
    """A layer in ggml's format, called like the other contenders."""

    def __init__(self, folder: Path, w13: Tensor, w2: Tensor, form: Format) -> None:
        self._ggml = Ggml(folder)
        self._context = self._ggml.context()
        self._type = GGML_TYPES[form]
        self._up, self._down = (self._described(w) for w in (w13, w2))
        kind = self._ggml.repacking() if form in REPACKED else None
        kind = kind or self._ggml.ggml_backend_cpu_buffer_type()
        self._buffer = self._ggml.ggml_backend_alloc_ctx_tensors_from_buft(self._context, kind)
        self._fill(self._up, w13)
        self._fill(self._down, w2)
        self._graphs: dict[tuple[int, ...], Graph] = {}

    def __call__(self, b: Batch) -> Tensor:
        """The batch's output, bfloat16, with as many threads as torch has."""
        ggml, size = self._ggml, tuple(b.ids.shape)
        if size not in self._graphs:
            self._forget()
            self._graphs[size] = self._built(b)
        graph = self._graphs[size]
        ggml.ggml_backend_cpu_set_n_threads(ggml.backend, torch.get_num_threads())
        for tensor, values in (
            (graph.x, b.x.float()),
            (graph.ids, b.ids),
            (graph.weights, b.weights),
        ):
            ggml.ggml_backend_tensor_set(tensor, values.data_ptr(), 0, values.nbytes)
        ggml.ggml_backend_graph_compute(ggml.backend, graph.graph)
        out = torch.empty(b.x.shape)
        ggml.ggml_backend_tensor_get(graph.out, out.data_ptr(), 0, out.nbytes)
        return out.bfloat16()

    def __del__(self) -> None:
        if hasattr(self, "_graphs"):
            self._forget()
            self._ggml.ggml_backend_buffer_free(self._buffer)
            self._ggml.ggml_free(self._context)

    def _forget(self) -> None:
        for graph in self._graphs.values():
            self._ggml.ggml_backend_buffer_free(graph.buffer)
            self._ggml.ggml_free(graph.context)
        self._graphs.clear()

    def _described(self, w: Tensor) -> Any:
        experts, rows, depth = w.shape
        return self._ggml.ggml_new_tensor_3d(self._context, self._type, depth, rows, experts)

    def _fill(self, tensor: Any, w: Tensor) -> None:
        """Whole, as a repacking buffer wants it; quantised an expert at a time."""
        ggml, (experts, rows, depth) = self._ggml, w.shape
        one = rows * ggml.ggml_row_size(self._type, depth)
        made = torch.empty(experts, one, dtype=torch.uint8)
        for expert, into in zip(w, made, strict=True):
            source = expert.float().contiguous()
            place = (source.data_ptr(), into.data_ptr())
            ggml.ggml_quantize_chunk(self._type, *place, 0, rows, depth, None)
        ggml.ggml_backend_tensor_set(tensor, made.data_ptr(), 0, made.nbytes)

    def _built(self, b: Batch) -> Graph:
        ggml, context = self._ggml, self._ggml.context()
        (tokens, hidden), k = b.x.shape, b.ids.shape[1]
        x = ggml.ggml_new_tensor_3d(context, GGML_F32, hidden, 1, tokens)
        ids = ggml.ggml_new_tensor_2d(context, GGML_I32, k, tokens)
        weights = ggml.ggml_new_tensor_3d(context, GGML_F32, 1, k, tokens)
        inner = ggml.ggml_swiglu(context, ggml.ggml_mul_mat_id(context, self._up, x, ids))
        slots = ggml.ggml_mul_mat_id(context, self._down, inner, ids)
        slots = ggml.ggml_mul(context, slots, weights)
        row = 4 * hidden
        parts = [
            ggml.ggml_view_2d(context, slots, hidden, tokens, k * row, place * row)
            for place in range(k)
        ]
        graph = ggml.ggml_new_graph(context)
        for part in parts:  # before the sums, so that these are neighbours, as llama.cpp does
            ggml.ggml_build_forward_expand(graph, part)
        out = parts[0]
        for part in parts[1:]:
            out = ggml.ggml_add(context, out, part)
        ggml.ggml_build_forward_expand(graph, out)
        buffer = ggml.ggml_backend_alloc_ctx_tensors(context, ggml.backend)
        return Graph(context, buffer, graph, x, ids, weights, out)
