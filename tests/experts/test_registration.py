"""Registering experts: each is checked and asked first, and a refusal changes nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from collegium.errors import ExpertExists, RegistryError
from collegium.experts.registration import Registration
from collegium.registry.expert import Expert
from collegium.registry.experts import ExpertRegistry
from tests.experts.api_server import ApiServer, api_server
from tests.experts.conftest import refused


@pytest.fixture
def remote(api: ApiServer) -> Expert:
    """An expert on the test's server."""
    return Expert("gpt", "openai", "tiny", base_url=api.url)


async def test_an_expert_is_asked_and_then_registered(
    registration: Registration, registry: ExpertRegistry, remote: Expert
) -> None:
    """The report says what it answered and how fast."""
    expert, report = await registration.register(remote)
    assert await registry.get("gpt") == expert
    assert replace(expert, capabilities={}) == remote
    assert (report.answered, report.answer) == (True, "Hello from tiny")
    assert report.latency_ms is not None
    assert report.latency_ms > 0


@pytest.mark.parametrize(
    "name",
    ["", "auto", "collegium", "a/b", "-a", ".a", "a b", "a\n", "ü", "a" * 65, "collegium/auto"],
)
async def test_a_name_that_would_not_work_is_refused(
    registration: Registration, registry: ExpertRegistry, remote: Expert, name: str
) -> None:
    """Before anybody is asked anything; it is a mistake of the request, not of the expert."""
    assert "is not a valid expert name" in await refused(
        registration, registry, replace(remote, name=name), RegistryError
    )


@pytest.mark.parametrize("name", ["a", "gpt-5.1_mini", "7B", "a" * 64])
async def test_a_good_name_is_taken(
    registration: Registration, registry: ExpertRegistry, remote: Expert, name: str
) -> None:
    """Letters, digits, dots, underlines and hyphens."""
    await registration.register(replace(remote, name=name))
    assert (await registry.get(name)).name == name


async def test_a_name_is_given_once(
    registration: Registration, registry: ExpertRegistry, remote: Expert, api: ApiServer
) -> None:
    """The second is refused without being asked."""
    await registration.register(remote)
    asked = len(api.requests)
    with pytest.raises(ExpertExists, match="'gpt' already exists"):
        await registration.register(replace(remote, description="another"))
    assert len(api.requests) == asked
    assert (await registry.get("gpt")).description == ""


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "127.0.0.1:8000/v1",
        "ftp://host/v1",
        "http://",
        "http://[::1/v1",
        "http://host:port/v1",
        "http://host:99999/v1",
        "file:///etc/passwd",
    ],
)
async def test_an_address_that_is_none_is_refused(
    registration: Registration, registry: ExpertRegistry, remote: Expert, url: str | None
) -> None:
    """The message says how an address looks."""
    told = await refused(registration, registry, replace(remote, base_url=url))
    assert "write http://HOST:PORT/v1" in told


async def test_an_address_where_nobody_answers_is_refused(
    registration: Registration, registry: ExpertRegistry, remote: Expert
) -> None:
    """Better now than at the first query."""
    told = await refused(registration, registry, replace(remote, base_url="http://127.0.0.1:9/v1"))
    assert "does not answer GET /models" in told
    assert "can't connect" in told


async def test_the_only_model_of_an_endpoint_need_not_be_named(
    registration: Registration, remote: Expert
) -> None:
    """Its name is taken from the endpoint."""
    expert, _ = await registration.register(replace(remote, model=""))
    assert expert.model == "tiny"


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("", "serves large, tiny: name one with --model"),
        ("huge", "serves no model 'huge'; it serv"),
    ],
)
async def test_of_several_models_one_has_to_be_named(
    registration: Registration, registry: ExpertRegistry, remote: Expert, model: str, told: str
) -> None:
    """The message lists them."""
    with api_server(["large", "tiny"]) as server:
        expert = replace(remote, base_url=server.url, model=model)
        assert told in await refused(registration, registry, expert)


async def test_an_endpoint_without_models_is_refused(
    registration: Registration, registry: ExpertRegistry, remote: Expert
) -> None:
    """There is nothing to ask."""
    with api_server([]) as server:
        expert = replace(remote, base_url=server.url, model="")
        assert "serves none" in await refused(registration, registry, expert)


@pytest.mark.parametrize("model", ["500", "shapeless"])
async def test_an_endpoint_that_lists_a_model_but_does_not_answer_is_refused(
    registration: Registration, registry: ExpertRegistry, remote: Expert, model: str
) -> None:
    """A list is no proof."""
    with api_server([model]) as server:
        expert = replace(remote, base_url=server.url, model=model)
        assert "'gpt' did not answer" in await refused(registration, registry, expert)


async def test_after_a_refusal_the_next_address_is_the_one_that_is_asked(
    registration: Registration, registry: ExpertRegistry, remote: Expert
) -> None:
    """Nothing of the failed attempt is kept, not even a connection."""
    with api_server(["500"]) as broken:
        wrong = replace(remote, base_url=broken.url, model="500")
        await refused(registration, registry, wrong)
        _, report = await registration.register(remote)
    assert report.answer == "Hello from tiny"


@pytest.mark.parametrize("key", [None, "", "  ", "not\nfit", "schlüssel"])
async def test_a_key_that_is_not_there_or_can_not_be_sent_is_refused(
    registration: Registration,
    registry: ExpertRegistry,
    remote: Expert,
    monkeypatch: pytest.MonkeyPatch,
    key: str | None,
) -> None:
    """The message names the variable and never the key."""
    monkeypatch.delenv("THE_API_KEY", raising=False)
    if key is not None:
        monkeypatch.setenv("THE_API_KEY", key)
    told = await refused(registration, registry, replace(remote, api_key_env="THE_API_KEY"))
    assert "environment variable THE_API_KEY" in told
    assert not (key and key.strip()) or key not in told


async def test_a_key_is_sent_without_the_newline_that_its_file_had(
    registration: Registration, remote: Expert, api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an environment made from a secret's file often has it."""
    monkeypatch.setenv("THE_API_KEY", "s3cret\n")
    await registration.register(replace(remote, api_key_env="THE_API_KEY"))
    assert {headers["authorization"] for _, headers, _ in api.requests} == {"Bearer s3cret"}
