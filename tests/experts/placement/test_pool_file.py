"""`pool.toml`: what it says, and what is said of a wrong one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from collegium.errors import SettingsError
from collegium.experts.placement.pool_file import needs_of, parse_cards, read_pool
from tests.experts.test_configured import model

SHAPE = "parameters_b = 8\nlayers = 32\nheads = 32\nkv_heads = 8\nhead_dim = 128\n"
EXPERT = f'[[expert]]\nname = "base"\n{SHAPE}'
CONFIG = json.dumps(
    {
        "num_hidden_layers": 4, "num_attention_heads": 8, "num_key_value_heads": 2,
        "hidden_size": 64, "max_position_embeddings": 512, "dtype": "float16",
    }
)  # fmt: skip
LORA = '[[lora]]\nname = "poet"\nbase = "base"\nrank = 16\nrequests_per_minute = 3\n'


def written(folder: Path, text: str) -> Path:
    path = folder / "pool.toml"
    path.write_text(text)
    return path


def test_a_shape_is_enough(tmp_path: Path) -> None:
    """Weights from the parameters and their format; adapters count with their base."""
    pool = read_pool(written(tmp_path, EXPERT + 'dtype = "fp8"\nrequests_per_minute = 5\n' + LORA))
    (base,) = needs_of(pool, tmp_path, parse_cards("1x80"))
    assert base.checkpoint.weights_gib == pytest.approx(8e9 / 2**30)
    assert base.checkpoint.dtype == "bfloat16"
    assert (base.loras, base.lora_rank, base.requests_per_minute) == (1, 16, 8.0)


def test_a_folder_tells_its_shape(tmp_path: Path) -> None:
    """Beside the file, or anywhere."""
    model(tmp_path / "tiny", size=2**20, config=CONFIG)
    pool = read_pool(written(tmp_path, '[[expert]]\nname = "a"\nmodel_path = "tiny"\n'))
    (tiny,) = needs_of(pool, tmp_path, parse_cards("1x8"))
    assert tiny.checkpoint.kv_bytes() == 2 * 4 * 2 * 8 * 2
    assert tiny.checkpoint.weights_gib == 2**-10


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expert: the file describes no model; begin each one with"),
        ("[[expert", "is not TOML"),
        ('[[expert]]\nname = "a"\n', "expert 'a': give model_path, or also parameters_b, layers"),
        (EXPERT.replace("expert", "experts"), "experts: unknown; did you mean expert?"),
        ('[expert]\nname = "a"\n', r"expert: write \[\[expert\]\] above the fields of each"),
        (EXPERT + "layer = 3\n", "expert 'base': layer: unknown; did you mean layers?"),
        (EXPERT + "speed = 3\n", "expert 'base': speed: unknown; use name, model_path, param"),
        (EXPERT + "sequences = 0\n", "expert 'base': sequences: should be .* equal to 1, not 0"),
        (EXPERT + "context = -1\n", "expert 'base': context: should be .* equal to 1, not -1"),
        (EXPERT + "weights_gib = nan\n", "expert 'base': weights_gib: should be .*, not nan"),
        (EXPERT + "weights_gib = 1e300\n", "weights_gib: should be less .* 1000000, not 1e"),
        (EXPERT + f"context = {'9' * 5000}\n", "is not TOML: Exceeds the limit"),
        (f"a = {'[' * 5000}", "is not TOML: maximum recursion"),
        (EXPERT.replace("kv_heads = 8", "kv_heads = 5"), "kv_heads, 5, has to divide heads, 32"),
        (EXPERT + "active_parameters_b = 9\n", "active_parameters_b is at most parameters_b"),
        (EXPERT + 'model_path = "/m"\n', "leave out head_dim, heads, kv_heads, layers: model_pa"),
        (EXPERT + "cards = []\n", "cards is empty"),
        (EXPERT + "now = [1, 1]\n", "now names a card twice"),
        (EXPERT + 'context = "long"\n', "expert 'base': context"),
        ("[[expert]]\nlayers = 3\n", "expert number 1: name: missing"),
        (EXPERT + EXPERT, "these names are used twice: base"),
        (EXPERT + LORA.replace('base = "base"', 'base = "lost"'), "is called lost"),
        (EXPERT + LORA.replace("16", "0"), "lora 'poet': rank"),
        ("expert = 3\n", r"expert: write \[\[expert\]\]"),
        ("expert = [3]\n", r"expert number 1: write \[\[expert\]\]"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_told_by_table_and_field(tmp_path: Path, text: str, said: str) -> None:
    """The first thing that is wrong."""
    with pytest.raises(SettingsError, match=said):
        read_pool(written(tmp_path, text))


def test_a_file_or_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    """By its path."""
    with pytest.raises(SettingsError, match=r"lost\.toml can't be read"):
        read_pool(tmp_path / "lost.toml")
    pool = read_pool(written(tmp_path, '[[expert]]\nname = "a"\nmodel_path = "lost"\n'))
    with pytest.raises(SettingsError, match=r"lost/config\.json.*; correct model_path, or desc"):
        needs_of(pool, tmp_path, parse_cards("1x8"))


def test_a_folder_without_weights_is_told(tmp_path: Path) -> None:
    """Its model would seem to take no memory."""
    model(tmp_path / "empty", size=0, config=CONFIG)
    pool = read_pool(written(tmp_path, '[[expert]]\nname = "a"\nmodel_path = "empty"\n'))
    with pytest.raises(SettingsError, match=r"'.*empty' has no \.safetensors weights"):
        needs_of(pool, tmp_path, parse_cards("1x8"))


def test_a_card_that_is_not_there_is_told(tmp_path: Path) -> None:
    """With those that are."""
    pool = read_pool(written(tmp_path, EXPERT + "cards = [2]\n"))
    with pytest.raises(SettingsError, match="'base' names card 2; there is 0, 1"):
        needs_of(pool, tmp_path, parse_cards("2x80"))


def test_cards_are_counts_and_sizes() -> None:
    """Several kinds, between commas."""
    sizes = [(card.index, card.memory_gib) for card in parse_cards("1x24,2x79.6")]
    assert sizes == [(0, 24.0), (1, 79.6), (2, 79.6)]


@pytest.mark.parametrize(
    "text", ["", "two", "0x80", "2x0", "2x", "2x80,", "2*80", "2x80GB", "-1x80", "65x80"]
)
def test_other_cards_are_refused(text: str) -> None:
    """With an example of what is meant."""
    with pytest.raises(SettingsError, match=r"such as 2x80|more than 64"):
        parse_cards(text)
