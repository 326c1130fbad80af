"""What is known of experts: found, stated by hand, or a matter of their kind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from collegium.errors import RegistryError
from collegium.registry import capabilities, labels
from collegium.registry.capabilities import found, knows_window, shown, stated, takes
from collegium.registry.expert import Expert
from collegium.registry.experts import check

REMOTE = Expert("gpt", "openai", "gpt", base_url="https://api.example/v1")
EMBEDDED = Expert("sql", "lora", "sql", engine="embedded", adapter="builtin:sql")
ENGINE = Expert("mine", "engine", "mine", engine="mine")


def having(**kept: Any) -> Expert:
    return replace(REMOTE, capabilities=kept)


def test_what_nobody_said_or_found_is_unknown() -> None:
    """It is neither there nor missing."""
    assert {takes(REMOTE, ability) for ability in capabilities.ABILITIES} == {None}


def test_an_ability_is_there_or_missing_where_it_is_kept() -> None:
    """Endpoints too, in two lists of names."""
    expert = having(images=False, tools=True, endpoints=["chat"], no_endpoints=["rerank"])
    told = [takes(expert, name) for name in ("images", "tools", "chat", "rerank", "audio")]
    assert told == [False, True, True, False, None]


def test_engines_that_we_run_are_known_by_how_they_are_started() -> None:
    """The demonstration's model reads text alone; of a model of one's own that is not known."""
    assert [takes(EMBEDDED, name) for name in ("tools", "images", "completions")] == [
        True,
        False,
        True,
    ]
    assert [takes(ENGINE, name) for name in ("tools", "images")] == [True, None]
    assert takes(replace(EMBEDDED, capabilities={"tools": False}), "tools") is False


def test_what_a_person_says_survives_what_is_found_later() -> None:
    """Until the person takes it back."""
    by_hand = stated({"tools": False}, {"tools": True, "rerank": False})
    probed = found(by_hand, {"tools": False, "images": True, "rerank": True, "audio": None})
    assert probed == {
        "tools": True,
        "images": True,
        "no_endpoints": ["rerank"],
        "by_hand": ["rerank", "tools"],
    }
    unsaid = stated(probed, {"tools": None})
    assert unsaid.keys() == {"images", "no_endpoints", "by_hand"}
    assert found(unsaid, {"tools": False})["tools"] is False


def test_a_window_that_is_only_assumed_is_not_known() -> None:
    """The default of an address that tells none; it is known where somebody says that very one."""
    assert not knows_window(REMOTE)
    assert knows_window(replace(REMOTE, context_window=4096))
    assert knows_window(having(window_known=True))
    assert knows_window(ENGINE)


def test_everything_that_may_be_known_is_shown() -> None:
    """Null is unknown."""
    told = shown(having(images=True, endpoints=["chat"], max_output_tokens=100))
    assert (told["images"], told["audio"], told["max_output_tokens"]) == (True, None, 100)
    assert told["endpoints"]["chat"] is True
    assert told["endpoints"]["rerank"] is None


@pytest.mark.parametrize(
    ("kept", "told"),
    [
        ({"smell": True}, "there is no capability smell; available: images, audio"),
        ({"images": 1}, "the capability images is true or false"),
        ({"max_output_tokens": True}, "max_output_tokens is a number"),
        ({"endpoints": ["chats"]}, "an endpoint is one of chat, completions"),
    ],
)
def test_capabilities_that_are_none_are_refused(kept: dict[str, Any], told: str) -> None:
    """The message says what there is."""
    with pytest.raises(RegistryError, match=told):
        check(having(**kept))


@pytest.mark.parametrize(
    ("kept", "told"),
    [
        ({"colour": "red"}, "there is no label colour; available: licence, residency, data_class"),
        ({"local": "maybe"}, "the label local is yes or no"),
        ({"licence": ""}, "the label licence is a text"),
    ],
)
def test_labels_that_are_none_are_refused(kept: dict[str, str], told: str) -> None:
    """The message says what there is."""
    with pytest.raises(RegistryError, match=told):
        check(replace(REMOTE, labels=kept))


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("http://localhost:8000/v1", True),
        ("http://gpu.localhost/v1", True),
        ("http://127.0.0.1:9/v1", True),
        ("http://[::1]:9/v1", True),
        ("http://10.1.2.3/v1", True),
        ("http://172.31.0.1/v1", True),
        ("http://192.168.0.7:8000/v1", True),
        ("http://169.254.1.1/v1", True),
        ("http://[fd00::1]/v1", True),
        ("http://[::ffff:10.0.0.1]/v1", True),
        ("http://172.32.0.1/v1", False),
        ("http://0.0.0.0/v1", False),
        ("http://100.64.0.1/v1", False),
        ("http://[::ffff:8.8.8.8]/v1", False),
        ("https://api.example/v1", False),
        ("http://gpu-box:8000/v1", False),
        ("http://localhost.example/v1", False),
        (None, False),
    ],
)
def test_local_is_an_address_that_does_not_leave_the_network(
    address: str | None, local: bool
) -> None:
    """A name may lead anywhere, so it is not local unless the operator says so."""
    expert = replace(REMOTE, base_url=address)
    assert labels.is_local(expert) is local
    assert labels.is_local(replace(expert, labels={"local": "yes"}))
    assert not labels.is_local(replace(expert, labels={"local": "no"}))


def test_what_runs_here_is_local() -> None:
    """Its engine is ours."""
    assert labels.is_local(EMBEDDED)
