"""The reader of data folders: what it reads, and how it refuses what it can't."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from collegium.errors import SetupError
from collegium.evals.core.data import data_root, data_sets, load_set
from collegium.router.applications.signals import Signals

PROMPTS = '{"prompt_id": 1, "prompt": "a", "task": "x"}\n{"prompt_id": "p2", "prompt": "b"}\n'


def write(folder: Path, **files: str) -> Path:
    """Write a data set; `scores="…"` becomes `scores.csv.gz`."""
    names = {"prompts": "prompts.jsonl.gz"}
    for name, text in ({"prompts": PROMPTS} | files).items():
        with gzip.open(folder / names.get(name, f"{name}.csv.gz"), "wt", newline="") as file:
            file.write(text)
    return folder


def test_a_wide_set_is_read(tmp_path: Path) -> None:
    """A column a model; empty cells and absent prompts are NaN; ids are text."""
    data = load_set(write(tmp_path, scores='prompt_id,m1,"m,2"\n1,0.5,\n'))
    assert data.prompt_ids == ("1", "p2")
    assert data.prompts == ("a", "b")
    assert data.models == ("m1", "m,2")
    assert data.labels == {"task": ("x", None)}
    np.testing.assert_array_equal(data.scores, [[0.5, np.nan], [np.nan, np.nan]])


def test_a_long_set_is_read_with_its_costs(tmp_path: Path) -> None:
    """A line an outcome; further columns have the shape of the scores."""
    data = load_set(
        write(tmp_path, outcomes="prompt_id,model,score,latency_s\np2,m1,1,0.25\n1,m2,0,\n")
    )
    assert data.models == ("m1", "m2")
    np.testing.assert_array_equal(data.scores, [[np.nan, 0], [1, np.nan]])
    np.testing.assert_array_equal(data.extras["latency_s"], [[np.nan, np.nan], [0.25, np.nan]])


def test_plain_files_and_json_lines_are_read_alike(tmp_path: Path) -> None:
    """Prompts as CSV from a spreadsheet, outcomes as JSON Lines; empty lines do no harm."""
    (tmp_path / "prompts.csv").write_text(
        '\ufeffprompt_id,prompt,application,tools\n1,"a, b",shop,"search, order"\n2,c,,\n\n',
        encoding="utf-8",
    )
    (tmp_path / "outcomes.jsonl").write_text(
        '{"prompt_id": 1, "model": "m", "score": true, "source": "judge", "reliability": 0.8}\n\n'
        '{"prompt_id": 2, "model": "m", "score": 0.5, "cost_usd": null}\n'
    )
    data = load_set(tmp_path)
    assert data.prompts == ("a, b", "c")
    assert data.signals == (Signals("shop", tools=("search", "order")), Signals())
    np.testing.assert_array_equal(data.scores, [[1], [0.5]])
    np.testing.assert_array_equal(data.extras["reliability"], [[0.8], [1.0]])
    assert data.sources is not None
    assert data.sources.tolist() == [["judge"], [""]]


def test_a_mistyped_field_of_json_lines_is_named(tmp_path: Path) -> None:
    """It would be left out in silence."""
    folder = write(tmp_path)
    (folder / "outcomes.jsonl").write_text('{"prompt_id": 1, "model": "m", "socre": 1}\n')
    with pytest.raises(SetupError, match=r"outcomes\.jsonl, line 1: .*'socre' is unknown"):
        load_set(folder)


def test_two_files_for_the_same_thing_are_refused(tmp_path: Path) -> None:
    """Nobody could tell which of them counts."""
    folder = write(tmp_path, scores="prompt_id,m1\n1,1\n")
    (folder / "scores.csv").write_text("prompt_id,m1\n1,0\n")
    with pytest.raises(SetupError, match=r"has both 'scores\.csv\.gz' and 'scores\.csv'; keep"):
        load_set(folder)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"no scores or outcomes; expected scores\.csv, .* or outcomes\.jsonl"),
        ({"prompts": ""}, "at least one prompt"),
        ({"prompts": PROMPTS + "{oops\n"}, r"prompts\.jsonl\.gz, line 3: expected a JSON object"),
        ({"prompts": "[]\n"}, "line 1: expected a JSON object, one a line"),
        ({"prompts": '{"prompt": "a"}\n'}, "line 1: expected 'prompt_id' and 'prompt'"),
        ({"prompts": '{"prompt_id": "a", "prompt": 3}\n'}, "line 1: 'prompt' must be text"),
        ({"prompts": PROMPTS + PROMPTS}, "line 3: prompt_id '1' appears twice"),
        ({"scores": ""}, "expected a header line"),
        ({"scores": "id,m1\n"}, "line 1: expected 'prompt_id,<model>"),
        ({"scores": "prompt_id,m,m\n"}, "line 1: expected 'prompt_id,<model>"),
        ({"scores": "prompt_id,m1\n1,0,1\n"}, "line 2: expected 2 cells, as in line 1, found 3"),
        ({"scores": "prompt_id,m1\n1,good\n"}, "line 2: expected a number.*'good'"),
        ({"scores": "prompt_id,m1\n1,nan\n"}, "line 2: expected a number.*'nan'"),
        (
            {"scores": "prompt_id,m1\n1,1.5\n"},
            r"line 2: expected a score of m1 in \[0, 1\], found '1.5'; divide",
        ),
        (
            {"scores": "prompt_id,m1\np3,1\n"},
            "line 2: prompt_id 'p3' is not among the prompts; add it",
        ),
        ({"scores": "prompt_id,m1\n1,1\n1,1\n"}, "line 3: prompt_id '1' appears twice"),
        ({"scores": 'prompt_id,m1\n1,"1\n'}, "line 2: unexpected end of data"),
        (
            {"outcomes": "prompt_id,score\n"},
            "line 1: expected prompt_id,model,score.*'model' is missing",
        ),
        ({"outcomes": "prompt_id,model,score,mood\n"}, "line 1: expected .*'mood' is unknown"),
        ({"outcomes": "prompt_id,model,score\n"}, "at least one outcome"),
        (
            {"outcomes": "prompt_id,model,score\n1,m,1\n1,m,0\n"},
            "line 3: '1' with model 'm' appears twice",
        ),
        (
            {"outcomes": "prompt_id,model,score,latency_s\n1,m,1,-3\n"},
            "line 2: expected a number.*'-3'",
        ),
    ],
)
def test_garbled_files_are_named_with_the_line(
    tmp_path: Path, files: dict[str, str], message: str
) -> None:
    """The error says which file, which line and what was expected."""
    with pytest.raises(SetupError, match=message):
        load_set(write(tmp_path, **files))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A folder without prompts and no folder at all are told apart."""
    with pytest.raises(
        SetupError, match=r"has no prompts; expected prompts\.jsonl or prompts\.csv"
    ):
        load_set(tmp_path)
    with pytest.raises(SetupError, match="not a folder"):
        load_set(tmp_path / "nothing")


@pytest.mark.parametrize(
    "damage", [b"plain text", gzip.compress(b'{"a": 1}\n' * 99)[:-9]], ids=["no archive", "cut"]
)
def test_a_damaged_archive_is_named(tmp_path: Path, damage: bytes) -> None:
    """Bytes that are no gzip, or not all of it, give our error."""
    (tmp_path / "prompts.jsonl.gz").write_bytes(damage)
    with pytest.raises(SetupError, match=r"prompts\.jsonl\.gz"):
        load_set(tmp_path)


def test_text_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    """Garbage inside a sound archive gives our error too."""
    (tmp_path / "prompts.jsonl.gz").write_bytes(gzip.compress(b"\xff\xfe\n"))
    with pytest.raises(SetupError, match="not readable gzip text"):
        load_set(tmp_path)


def test_the_root_is_looked_up_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An explicit folder takes precedence over the environment; without both there is none."""
    explicit, named = tmp_path / "explicit", tmp_path / "named"
    for folder in (explicit, named):
        folder.mkdir()
    monkeypatch.setenv("COLLEGIUM_DATA", str(named))
    assert data_root(explicit) == explicit
    assert data_root() == named
    monkeypatch.delenv("COLLEGIUM_DATA")
    with pytest.raises(SetupError, match="pass --data, or set COLLEGIUM_DATA"):
        data_root()


def test_a_root_that_is_not_there_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names who asked for the folder."""
    with pytest.raises(SetupError, match="--data names"):
        data_root(tmp_path / "nothing")
    monkeypatch.setenv("COLLEGIUM_DATA", str(tmp_path / "nothing"))
    with pytest.raises(SetupError, match="COLLEGIUM_DATA names"):
        data_root()


SHAPES = {
    "alpacaeval2": (805, 57),
    "bfcl71": (969, 40),
    "llmrouter9": (5608, 9),
    "mmlupro28": (6653, 21),
    "routellm2": (9729, 2),
    "routerbench3": (2205, 11),
    "routerdc7": (7598, 7),
}


def test_every_shared_set_is_there(shared_data: Path) -> None:
    """The sets that the project is judged on are found."""
    assert set(SHAPES) <= {folder.name for folder in data_sets(shared_data)}


@pytest.mark.parametrize("name", SHAPES)
def test_every_shared_set_loads(name: str, shared_data: Path) -> None:
    """Real sets have the shape that their README gives, and scores in [0, 1]."""
    data = load_set(shared_data / name)
    assert data.scores.shape == SHAPES[name]
    assert np.nanmin(data.scores) >= 0
    assert np.nanmax(data.scores) <= 1
    assert np.isfinite(data.scores).mean() > 0.99
    assert all(len(column) == len(data.prompts) for column in data.labels.values())


def test_tool_schemas_of_a_shared_set_are_signals(shared_data: Path) -> None:
    """BFCL's `functions` are JSON in a text."""
    found = load_set(shared_data / "bfcl71").signals
    assert all(signals.tools for signals in found)
    assert found[0].tools[:2] == ("math.triangle_area_heron", "math.circle_area")


def test_a_folder_of_another_kind_is_refused_in_words(shared_data: Path) -> None:
    """CLINC150 holds intents and no outcomes."""
    with pytest.raises(
        SetupError, match=r"has no prompts; expected prompts\.jsonl or prompts\.csv"
    ):
        load_set(shared_data / "clinc150")
