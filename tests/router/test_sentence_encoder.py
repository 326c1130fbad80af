"""MiniLM by OpenVINO against sentence-transformers itself."""

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collegium.errors import SetupError
from collegium.experts.embedded import encoder_path
from collegium.router.encoder import make_encoder
from collegium.router.encoder_graph import GRAPH, ensure_graph
from collegium.router.sentence_encoder import TOKENS_AT_ONCE, SentenceEncoder, _rounded, _together
from collegium.router.vectors import Floats
from collegium.settings import load_settings

TEXTS = (
    "Convert 3 km to metres. Number only.",
    "",
    " \n\t",
    "CAFÉ café Ünïcödé 你好 мир 🙂",
    "[CLS] [MASK] are words here",
    "long " * 400,
    "x" * 9_000,
)


@pytest.fixture(scope="module")
def encoder() -> SentenceEncoder:
    made = make_encoder("minilm", threads=1)
    assert isinstance(made, SentenceEncoder)
    return made


def reference(texts: tuple[str, ...]) -> Floats:
    """The vectors of sentence-transformers, in float32."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(encoder_path()), device="cpu", local_files_only=True)
    vectors: Floats = model.encode(list(texts), normalize_embeddings=True)
    return vectors


def test_vectors_are_those_of_sentence_transformers(encoder: SentenceEncoder) -> None:
    """Of any text, whatever is read beside it, up to bfloat16's rounding."""
    assert ((encoder.encode(TEXTS) * reference(TEXTS)).sum(axis=1) > 0.9999).all()


def test_a_text_alone_has_the_vector_that_it_has_in_company(encoder: SentenceEncoder) -> None:
    """Padding and neighbours add rounding at most."""
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(encoder.encode(TEXTS), alone, atol=2e-3)


def test_no_text_has_no_vector(encoder: SentenceEncoder) -> None:
    """The shape stays."""
    assert encoder.encode([]).shape == (0, 384)


def test_threads_may_run_on_any_core(encoder: SentenceEncoder) -> None:
    """OpenVINO would pin those of every process to the same first one."""
    assert not encoder._model.get_property("ENABLE_CPU_PINNING")


def test_threads_may_share_an_encoder(encoder: SentenceEncoder) -> None:
    """Nobody gets another's vector."""
    texts = [f"How many is {n} and {n}?" for n in range(64)]
    with ThreadPoolExecutor(8) as threads:
        found = np.concatenate(list(threads.map(lambda text: encoder.encode([text]), texts)))
    np.testing.assert_allclose(found, encoder.encode(texts), atol=2e-3)


@given(st.lists(st.integers(2, 256), max_size=80))
def test_texts_of_like_length_go_together(lengths: list[int]) -> None:
    """Each text once, in the order of lengths, no more than fit."""
    groups = _together(lengths)
    rows = [row for group in groups for row in group]
    assert sorted(rows) == list(range(len(lengths)))
    assert [lengths[row] for row in rows] == sorted(lengths)
    for group in groups:
        padded = len(group) * _rounded(max(lengths[row] for row in group))
        assert len(group) == 1 or padded <= TOKENS_AT_ONCE


@pytest.mark.slow  # converting starts PyTorch in a process of its own
def test_a_damaged_graph_is_made_again(tmp_path: Path) -> None:
    """As after a full disk."""
    made = ensure_graph(encoder_path(), load_settings().cache_dir)
    copy = tmp_path / made.name
    shutil.copytree(made, copy)
    (copy / GRAPH).write_text("half of it")
    assert ensure_graph(encoder_path(), tmp_path) == copy
    assert (copy / GRAPH).stat().st_size == (made / GRAPH).stat().st_size


@pytest.mark.slow  # converting starts PyTorch in a process of its own
def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    """It is named, and nothing half made is left."""
    (tmp_path / "mine" / "model").mkdir(parents=True)
    with pytest.raises(SetupError, match="mine/model can't be made ready as a sentence encoder"):
        ensure_graph(tmp_path / "mine" / "model", tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("[!.]*"))


def test_pytorch_stays_out_of_the_process() -> None:
    """It would take half a GiB and seven seconds."""
    ensure_graph(encoder_path(), load_settings().cache_dir)
    code = (
        "import sys; from collegium.router.encoder import make_encoder; "
        "make_encoder('minilm').encode(['Hello']); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
