"""The static encoder: MiniLM's first layer, weighted and summed, without a network."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from collegium.errors import SetupError
from collegium.experts.embedded import encoder_path
from collegium.extensions import extensions
from collegium.router.encoder import make_encoder
from collegium.router.static_encoder import (
    MOST_CHARACTERS,
    TABLE,
    StaticEncoder,
    ends,
    static_encoder,
)
from collegium.router.vectors import Encoder

SQL = "Write an SQL query that lists all customers from Berlin."
OTHER_SQL = "Give me the SQL statement to select every customer in Paris."
POEM = "Compose a short poem about autumn leaves."

ENCODERS = extensions().names("encoder")


@pytest.fixture(scope="module")
def encoder() -> StaticEncoder:
    """The one that ships."""
    return static_encoder()


def test_a_text_is_the_weighted_sum_of_its_tokens(encoder: StaticEncoder) -> None:
    """As computed by hand from the model's file, through torch's own layer norm."""
    import torch
    from safetensors.torch import load_file

    weights = load_file(encoder_path() / "model.safetensors")
    words = weights["embeddings.word_embeddings.weight"]
    somewhere = weights["embeddings.position_embeddings.weight"][:64].mean(0)
    tokens = torch.tensor([7592, 2088])  # "hello", "world"
    rows = words[tokens] + somewhere + weights["embeddings.token_type_embeddings.weight"][0]
    scale, shift = (weights[f"embeddings.LayerNorm.{name}"] for name in ("weight", "bias"))
    rows = torch.nn.functional.layer_norm(rows, rows.shape[1:], scale, shift, eps=1e-12)
    share = 1 / ((tokens + 1) * np.log(len(words)))
    expected = (rows * (1e-4 / (1e-4 + share))[:, None]).sum(0)
    expected = expected / expected.norm()
    row = encoder.encode(["Hello world"])[0]
    np.testing.assert_allclose(row, expected.numpy(), atol=1e-3)  # one byte a number
    assert row @ expected.numpy() > 0.9999


def test_rows_have_unit_length_and_do_not_depend_on_the_batch(encoder: StaticEncoder) -> None:
    """One at a time or all at once."""
    texts = [SQL, POEM, "", "  ", "x" * 10_000, "写一首关于秋天的诗"]
    rows = encoder.encode(texts)
    assert rows.shape == (6, 384)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-5)
    np.testing.assert_array_equal(rows, np.vstack([encoder.encode([text]) for text in texts]))
    assert encoder.encode([]).shape == (0, 384)


def test_texts_of_one_kind_are_near_each_other(encoder: StaticEncoder) -> None:
    """Two questions about SQL are nearer than a question and a poem."""
    sql, other, poem = encoder.encode([SQL, OTHER_SQL, POEM])
    assert sql @ other > sql @ poem + 0.2


def test_chinese_queries_do_not_collapse(encoder: StaticEncoder) -> None:
    """Their characters have vectors of their own."""
    history, mathematics = encoder.encode(["中国古代史", "高等数学微分"])
    assert history @ mathematics < 0.9


def test_of_a_long_text_both_ends_are_read(encoder: StaticEncoder) -> None:
    """The question often stands last; what is in the middle costs no time."""
    filler = "lorem ipsum " * 5_000
    assert len(ends(f"{filler}{SQL}")) == MOST_CHARACTERS + 1
    question = f"{SQL} " * 20
    with_question, without, alone = encoder.encode([filler + question, filler, question])
    assert with_question @ alone > without @ alone + 0.2
    with_middle = encoder.encode([f"{filler}{POEM}{filler}{question}"])[0]
    np.testing.assert_array_equal(with_middle, with_question)
    assert ends(SQL) == SQL


def test_encoding_takes_a_fraction_of_a_millisecond(encoder: StaticEncoder) -> None:
    """Measured as processor time, and the best of many: neighbours and caches don't count."""

    def milliseconds(text: str) -> float:
        started = time.process_time()
        encoder.encode([text])
        return 1000 * (time.process_time() - started)

    assert min(milliseconds(SQL) for _ in range(50)) < 0.3
    assert min(milliseconds("word " * 5_000) for _ in range(50)) < 3


@pytest.mark.parametrize("name", ENCODERS)
def test_every_encoder_is_made_by_its_name(name: str) -> None:
    """Unit rows of 384 numbers; its full name begins with the setting's."""
    made: Encoder = make_encoder(name)
    assert made.name.startswith(name)
    assert np.linalg.norm(made.encode([SQL])) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("name", ENCODERS)
def test_half_a_surrogate_pair_is_read_as_a_question_mark(name: str) -> None:
    """Clients send cut emojis, and experts answer with them; no tokenizer takes them."""
    made = make_encoder(name)
    cut, whole = made.encode(["half \ud83d", "half ?"])
    np.testing.assert_array_equal(cut, whole)


def test_an_unknown_encoder_is_refused() -> None:
    """With the names that there are."""
    with pytest.raises(SetupError, match=r"no encoder 'bert'\. Available: minilm, static"):
        make_encoder("bert")


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    """A missing or damaged file is named."""
    with pytest.raises(SetupError, match="contains no table of the static encoder"):
        static_encoder(tmp_path)
    (tmp_path / TABLE).write_bytes(b"nonsense")
    with pytest.raises(SetupError, match="contains no table of the static encoder"):
        static_encoder(tmp_path)
