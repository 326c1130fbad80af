"""Experts and engines over HTTP: seen, added, changed and removed while the service runs."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from collegium.errors import ExpertUnavailable
from collegium.experts.aggregation.catalogue import mode_names
from collegium.experts.clients.http import HttpExpert
from collegium.experts.fleet import Fleet
from collegium.experts.supervisor import State, Status, Supervisor
from collegium.experts.vllm import EngineSpec
from collegium.kernels.token_policy import TokenPolicy
from collegium.registry.expert import Expert
from collegium.router.virtual_models import VIRTUAL_MODELS
from tests.web.conftest import Web, on_shared
from tests.web.fakes import ADDRESS, POOL

NEW = {
    "name": "new",
    "kind": "litellm",
    "model": "openai/new",
    "input_price": 0.0,
    "output_price": 3.0,
}


async def names(web: Web) -> list[str]:
    Listed = (await web.http.get("/v1/experts")).json()["data"]
    return [expert["name"] for expert in Listed]


async def expect_refused(web: Web, body: Any, status: int, code: str, words: str) -> None:
    """Adding says why not, and changes nothing."""
    before = await names(web)
    answer = await web.http.post("/v1/experts", json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code), error
    assert words in f"{error['param']}: {error['message']}"
    assert await names(web) == before


async def test_models_are_the_virtual_ones_and_the_enabled_experts(web: Web) -> None:
    """As OpenAI's clients list them; each says what it is."""
    await web.http.patch("/v1/experts/lists", json={"enabled": False})
    Listed = (await web.http.get("/v1/models")).json()
    assert Listed["object"] == "list"
    models = {model["id"]: model["collegium"] for model in Listed["data"]}
    panels = [f"collegium/{mode}" for mode in mode_names() if mode != "single"]
    assert list(models) == [*VIRTUAL_MODELS, *panels, "general", "sql"]
    assert models["collegium/vote"]["aggregate"] == "vote"
    assert models["auto"]["virtual"] is True
    assert models["sql"]["virtual"] is False
    assert models["sql"]["input_price"] == 1.0


@pytest.mark.parametrize("name", ["auto", "collegium/vote", "sql"])
async def test_one_model_is_told_as_in_the_list(web: Web, name: str) -> None:
    """Also one whose name has a slash."""
    listed = {model["id"]: model for model in (await web.http.get("/v1/models")).json()["data"]}
    model = (await web.http.get(f"/v1/models/{name}")).json()
    assert model == listed[name]
    assert (model["object"], model["root"], model["parent"]) == ("model", name, None)
    assert model["max_model_len"] == 2048
    assert (await web.http.get(f"/models/{name}/")).json() == model


@pytest.mark.parametrize("name", ["gtp", "lists", "collegium/none", "a/b"])
async def test_a_model_that_is_not_there_is_an_error(web: Web, name: str) -> None:
    """In OpenAI's shape, with those that are; also of a disabled one."""
    await web.http.patch("/v1/experts/lists", json={"enabled": False})
    answer = await web.http.get(f"/v1/models/{name}")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (404, "model_not_found")
    assert f"'{name}'" in error["message"]


async def test_a_model_says_what_it_takes(web: Web) -> None:
    """As far as that is known; a preset says what it is made of."""
    capabilities = {"images": True, "audio": False, "endpoints": ["chat", "completions"]}
    await web.parts.registry.update("sql", capabilities=capabilities, context_window=9000)
    await web.http.post("/v1/experts", json={"name": "calm", "like": "sql", "with": {"seed": 1}})
    model = (await web.http.get("/v1/models/sql")).json()
    assert model["modalities"] == {"input": ["text", "image"], "output": ["text"]}
    told = model["capabilities"]
    assert told == model["collegium"]["capabilities"]
    assert (told["images"], told["audio"], told["files"]) == (True, False, None)
    assert told["endpoints"]["completions"] is True
    preset = (await web.http.get("/v1/models/calm")).json()
    assert (preset["root"], preset["parent"]) == ("sql", "sql")
    assert (await web.http.get("/v1/models/auto")).json()["max_model_len"] == 9000


async def test_experts_are_listed_with_all_that_is_known(web: Web) -> None:
    """Also the disabled ones."""
    await web.http.patch("/v1/experts/lists", json={"enabled": False})
    Listed = {e["name"]: e for e in (await web.http.get("/v1/experts")).json()["data"]}
    assert Listed.keys() == {"sql", "lists", "general"}
    assert Listed["sql"] == asdict(POOL[0]) | {"tags": []}
    assert Listed["lists"]["enabled"] is False


async def test_one_expert_is_told_as_in_the_list(web: Web) -> None:
    """`status` is no expert's name here; what is not there is an error."""
    listed = {e["name"]: e for e in (await web.http.get("/v1/experts")).json()["data"]}
    assert (await web.http.get("/v1/experts/sql")).json() == listed["sql"]
    assert (await web.http.get("/v1/experts/status")).json()["object"] == "list"
    missing = await web.http.get("/v1/experts/none")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "expert_not_found")


async def test_an_added_expert_answers_the_next_request(web: Web) -> None:
    """After its probe; its price is accounted."""
    added = await web.http.post("/v1/experts", json=NEW)
    assert added.status_code == 201
    assert added.json()["expert"]["kind"] == "litellm"
    probe = added.json()["probe"]
    assert (probe["answered"], probe["answer"]) == (True, "hello there")
    answer = (await web.chat("hello", model="new")).json()
    assert answer["model"] == "new"
    assert answer["collegium"]["outcome"]["cost_usd"] == 2 * 3.0 / 1e6


async def test_an_address_is_asked_for_its_models(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that it serves is taken; of several one has to be named."""
    served: list[str] = ["tiny"]

    async def rows(_: object) -> list[dict[str, Any]]:
        return [{"id": name} for name in served]

    monkeypatch.setattr(HttpExpert, "rows", rows)
    body = {"name": "remote", "kind": "openai", "base_url": f"{ADDRESS}/remote"}
    added = await web.http.post("/v1/experts", json=body)
    assert added.json()["expert"]["model"] == "tiny"
    served.append("large")
    other = {**body, "name": "other"}
    await expect_refused(web, other, 422, "probe_failed", "name one with --model")


async def test_an_expert_that_fails_its_probe_is_not_added(web: Web) -> None:
    """The reason is told."""
    web.experts["new"].refuses = ExpertUnavailable("new", "is down")
    await expect_refused(web, NEW, 422, "probe_failed", "is down")


@on_shared
@pytest.mark.parametrize(
    ("change", "status", "code", "words"),
    [
        ({"name": "sql"}, 409, "expert_exists", "already exists"),
        ({"name": "auto"}, 400, "registry_error", "is not a valid expert name"),
        ({"name": "a b"}, 400, "registry_error", "is not a valid expert name"),
        ({"kind": "oracle"}, 400, "invalid_request", "kind"),
        (
            {"kind": "openai", "base_url": "ftp://x"},
            422,
            "probe_failed",
            "is not the URL of an API",
        ),
        ({"kind": "lora", "adapter": "/nowhere"}, 422, "probe_failed", "needs the engine"),
        ({"kind": "lora", "engine": "none"}, 422, "probe_failed", "there is no engine 'none'"),
        ({"kind": "engine"}, 400, "invalid_request", "engine: "),
        ({"engine": {"model_path": "/nowhere"}}, 400, "invalid_request", "engine: "),
        ({"output_price": -1}, 400, "invalid_request", "output_price"),
        ({"output_price": True}, 400, "invalid_request", "output_price"),
        ({"prior": "0.5"}, 400, "invalid_request", "prior"),
        ({"context_window": 0}, 400, "invalid_request", "context_window"),
        ({"magic": 1}, 400, "invalid_request", "magic"),
    ],
)
async def test_what_can_not_work_is_refused_and_changes_nothing(
    shared: Web, change: dict[str, Any], status: int, code: str, words: str
) -> None:
    """A clear message, the same experts as before."""
    await expect_refused(shared, {**NEW, **change}, status, code, words)


async def test_a_change_counts_from_the_next_request_on(web: Web) -> None:
    """Disabled, it is nobody's choice and nobody's name."""
    assert (await web.chat("sql 1")).json()["model"] == "sql"
    changed = await web.http.patch("/v1/experts/sql", json={"enabled": False})
    assert changed.json()["enabled"] is False
    assert (await web.chat("sql 1")).json()["model"] == "general"
    gone = await web.chat("sql 1", model="sql")
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "model_not_found")
    await web.http.patch("/v1/experts/sql", json={"enabled": True})
    assert (await web.chat("sql 1")).json()["model"] == "sql"


async def test_a_measured_skill_moves_traffic_at_once(web: Web) -> None:
    """No restart and no training."""
    await web.http.post("/v1/experts", json=NEW)
    assert (await web.chat("poems 1")).json()["model"] == "general"
    await web.http.patch("/v1/experts/new", json={"skills": {"poems": 0.95}})
    assert (await web.chat("poems 1")).json()["model"] == "new"


@on_shared
@pytest.mark.parametrize(
    ("name", "change", "status", "code"),
    [
        ("nobody", {"enabled": False}, 404, "expert_not_found"),
        ("sql", {"skills": {"sql": 2}}, 400, "invalid_request"),
        ("sql", {"name": "other"}, 400, "invalid_request"),
        ("sql", {"input_price": "dear"}, 400, "invalid_request"),
    ],
)
async def test_a_change_that_makes_no_sense_is_refused(
    shared: Web, name: str, change: dict[str, Any], status: int, code: str
) -> None:
    """And nothing is changed."""
    before = (await shared.http.get("/v1/experts")).json()
    answer = await shared.http.patch(f"/v1/experts/{name}", json=change)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert (await shared.http.get("/v1/experts")).json() == before


async def test_a_removed_expert_is_forgotten_and_its_decisions_stay(web: Web) -> None:
    """From the next request on."""
    decision = (await web.chat("sql 1")).json()["collegium"]["decision"]["id"]
    await web.parts.background.finish()
    gone = await web.http.delete("/v1/experts/sql")
    assert (gone.status_code, gone.content) == (204, b"")
    assert "sql" not in await names(web)
    assert (await web.chat("sql 1", model="sql")).status_code == 404
    assert (await web.outcome(decision))["expert"] == "sql"
    again = await web.http.delete("/v1/experts/sql")
    assert (again.status_code, again.json()["error"]["code"]) == (404, "expert_not_found")


# --- engines ---


class QuietSupervisor(Supervisor):
    """An engine without a process: it is ready as soon as it is started, or fails."""

    works = True

    async def start(self) -> None:
        """Be ready at once."""
        self.incarnation += 1
        state: State = "ready" if self.works else "failed"
        await self._become(Status(state, f"is {state}", "http://engine.test"))

    async def drain(self, patience_s: float) -> None:
        """There is nothing to finish."""
        await self.stop()

    async def stop(self) -> None:
        """Nothing runs."""
        await self._become(Status("stopped", "was stopped", ""))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder that looks like a sparse model's."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"num_experts": 4}))
    (folder / "model.safetensors").write_bytes(b"")
    return folder


@pytest.fixture
def fleet(web: Web, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """The service's engines, which have no processes."""

    def supervise(spec: EngineSpec) -> Supervisor:
        statistics = web.parts.settings.data_dir / f"{spec.name}.tokens.json"
        return QuietSupervisor(replace(spec, statistics_file=statistics), Path("engine.log"))

    monkeypatch.setattr(QuietSupervisor, "works", True)
    monkeypatch.setattr(web.parts.fleet, "_supervise", supervise)
    return web.parts.fleet


async def bring(web: Web, model: Path, **engine: Any) -> httpx.Response:
    """Add an expert with an engine of its own."""
    described = {"model_path": str(model), "max_sequences": 4, **engine}
    return await web.http.post(
        "/v1/experts", json={"name": "mine", "kind": "engine", "engine": described}
    )


async def Listed(web: Web) -> Any:
    return (await web.http.get("/v1/engines")).json()["data"]


async def test_a_service_without_engines_lists_none(web: Web) -> None:
    """And says so to who names one."""
    assert (await web.http.get("/v1/engines")).json() == {"object": "list", "data": []}
    for method, path in (("POST", "restart"), ("GET", "tokens")):
        answer = await web.http.request(method, f"/v1/engines/none/{path}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "engine_not_found")


async def test_an_expert_brings_its_engine_which_goes_with_it(
    web: Web, fleet: Fleet, model: Path
) -> None:
    """Listed, counted, restarted, and ended when its expert is removed."""
    added = await bring(web, model)
    assert added.status_code == 201, added.text
    assert added.json()["expert"]["engine"] == "mine"
    (engine,) = await Listed(web)
    assert (engine["name"], engine["state"], engine["starts"]) == ("mine", "ready", 1)
    assert (engine["model_path"], engine["max_sequences"]) == (str(model), 4)
    assert (await web.metrics())['collegium_engine_ready{engine="mine"}'] == 1
    assert (await web.chat("hello", model="mine")).json()["model"] == "mine"
    restarted = await web.http.post("/v1/engines/mine/restart")
    assert (restarted.json()["state"], restarted.json()["starts"]) == ("ready", 2)
    assert (await web.http.delete("/v1/experts/mine")).status_code == 204
    await web.parts.background.finish()
    assert await Listed(web) == []
    assert not [name for name in await web.metrics() if name.startswith("collegium_engine_ready{")]


async def test_an_engine_with_other_experts_stays(web: Web, fleet: Fleet, model: Path) -> None:
    """Those have to be removed first."""
    await bring(web, model)
    await web.parts.registry.register(Expert("guest", "lora", "guest", engine="mine", adapter="/a"))
    refused = await web.http.delete("/v1/experts/mine")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "registry_error")
    assert "guest" in refused.json()["error"]["message"]


async def test_an_engine_that_does_not_start_is_not_kept(
    web: Web, fleet: Fleet, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor its expert."""
    monkeypatch.setattr(QuietSupervisor, "works", False)
    refused = await bring(web, model)
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "probe_failed")
    assert "does not start: is failed" in refused.json()["error"]["message"]
    assert await Listed(web) == []
    assert "mine" not in await names(web)


@pytest.mark.parametrize(
    ("engine", "status", "words"),
    [
        ({"model_path": "/nowhere"}, 422, "no config.json"),
        ({"flags": "--port 1"}, 422, "are not allowed"),
        ({"token_policy": {"kind": "magic"}}, 422, "invalid token policy"),
        ({"max_sequences": 0}, 400, "max_sequences"),
        ({"dtype": "int1"}, 400, "dtype"),
        ({"device": "all"}, 400, "device"),
    ],
)
async def test_an_engine_that_can_not_run_is_refused(
    web: Web, fleet: Fleet, model: Path, engine: dict[str, Any], status: int, words: str
) -> None:
    """Before anything is started."""
    refused = await bring(web, model, **engine)
    assert refused.status_code == status
    assert words in refused.json()["error"]["message"]
    assert await Listed(web) == []


async def test_what_token_routers_did_is_told_where_it_is_counted(
    web: Web, fleet: Fleet, model: Path
) -> None:
    """Nothing yet, then what the engine wrote."""
    added = await bring(web, model, token_policy={"statistics": True})
    assert added.status_code == 201, added.text
    told = (await web.http.get("/v1/engines/mine/tokens")).json()
    policy = {"statistics": True}
    assert told == {"engine": "mine", "token_policy": policy, "layers": []}
    assert isinstance(fleet["mine"].spec.token_policy, TokenPolicy)
    layers = [{"layer": 0, "tokens": 5}]
    file = fleet["mine"].spec.statistics_file
    assert file is not None
    file.write_text(json.dumps({"layers": layers}))
    assert (await web.http.get("/v1/engines/mine/tokens")).json()["layers"] == layers


async def test_an_engine_that_counts_nothing_says_how_to_count(
    web: Web, fleet: Fleet, model: Path
) -> None:
    """400, with the option."""
    await bring(web, model)
    answer = await web.http.get("/v1/engines/mine/tokens")
    assert answer.status_code == 400
    assert "--token-statistics" in answer.json()["error"]["message"]
