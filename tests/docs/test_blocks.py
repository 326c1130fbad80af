"""Code blocks of the documentation run, or say why not; data in them can be read."""

from __future__ import annotations

import csv
import json
import tomllib

import pytest
import yaml

from tests.docs.blocks import BLOCKS, Block, of_language

DATA = {"json", "toml", "yaml", "csv"}
TESTED = {"python", "sh", *DATA}
"""`sh`: tests/docker/test_compose.py parses commands, test_requests.py sends requests."""
SHOWN = {"", "text"}
"""Diagrams, outputs and the like: nothing to run."""


def test_every_language_is_known() -> None:
    """A block in another language would be neither read nor run."""
    assert {block.language for block in BLOCKS} <= TESTED | SHOWN


@pytest.mark.parametrize("block", of_language(*DATA), ids=str)
def test_data_can_be_read(block: Block) -> None:
    """JSON as a value or as lines of values, TOML, YAML and CSV."""
    if block.language == "json":
        try:
            json.loads(block.text)
        except ValueError:
            assert [json.loads(line) for line in block.text.splitlines()]
    elif block.language == "toml":
        assert tomllib.loads(block.text)
    elif block.language == "yaml":
        assert yaml.safe_load(block.text)
    else:
        assert len({len(row) for row in csv.reader(block.text.splitlines())}) == 1


def test_a_block_that_is_not_run_says_why() -> None:
    """In a sentence that a reader of the source sees."""
    assert [str(b) for b in BLOCKS if b.why is not None and len(b.why.split()) < 3] == []
