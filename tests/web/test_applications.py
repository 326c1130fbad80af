"""Applications through the API: recognised, shown, named, merged, split and governed."""

from __future__ import annotations

import random
from typing import Any

import httpx
import pytest

from collegium.experts.bulk.lines import Line
from collegium.registry.application import Application
from collegium.registry.applications import ApplicationRegistry
from collegium.registry.key import NOBODY
from collegium.router.applications.signals import Signals
from collegium.web.batch.plan import parsed_of, prepared
from collegium.web.serving.metrics import MOST_APPLICATIONS, Metrics
from collegium.web.serving.recognition import Recognition
from tests.router.applications.prompts import CONTOSO, pasted
from tests.web.conftest import Serve, Web
from tests.web.documented import LINE

KEYS = {
    "api_key": "the-administrators-key",
    "caller_keys": {"team-a": "a-key-of-a", "team-b": "a-key-of-b"},
}
ORDERS, ADVICE = CONTOSO[0].text, CONTOSO[1].text


async def asked(web: Web, system: str = "", text: str = "sql 1", **fields: Any) -> httpx.Response:
    """Ask with a system prompt."""
    head = [{"role": "system", "content": system}] if system else []
    body = {"messages": [*head, {"role": "user", "content": text}], **fields}
    headers = fields.pop("headers", None)
    body.pop("headers", None)
    return await web.http.post("/v1/chat/completions", json=body, headers=headers)


def application_of(answer: httpx.Response) -> str | None:
    """The application in the decision, which the header repeats."""
    found: str | None = answer.json()["collegium"]["decision"]["application"]
    assert answer.headers.get("x-collegium-application") == found
    return found


async def test_pasted_memory_does_not_hide_an_application(web: Web) -> None:
    """At the start, in the middle and at the end; another application of the company is another."""
    draw = random.Random(0)
    begin, end = ORDERS.split("State the", 1)
    first = application_of(await asked(web, ORDERS))
    assert first is not None
    assert first.startswith("app-")
    for place in range(3):
        memory = pasted(draw, 200)
        parts = [begin, f"State the{end}"]
        parts.insert(place, f"\n# Memory\n{memory}\n")
        answer = await asked(web, "".join(parts))
        assert application_of(answer) == first
    assert application_of(await asked(web, ADVICE)) not in (first, None)
    shown = (await web.http.get(f"/v1/applications/{first}")).json()
    assert shown["requests"] == 4
    assert shown["variants"] == 4
    assert shown["share"] == 0.8
    assert shown["text"].startswith("You are the order desk")


async def test_a_tag_wins_and_its_header_wins_over_the_body(web: Web) -> None:
    """And metadata goes on to the expert."""
    metadata = {"application": "from the body", "trace": "1"}
    answer = await asked(web, ORDERS, model="sql", metadata=metadata)
    assert application_of(answer) == "from the body"
    assert web.experts["sql"].asked[0].body["metadata"] == metadata
    headers = {"x-collegium-application": "from the header"}
    answer = await asked(web, ORDERS, metadata=metadata, headers=headers)
    assert application_of(answer) == "from the header"
    decision = answer.json()["collegium"]["decision"]["id"]
    logged = (await web.http.get(f"/v1/decisions/{decision}")).json()
    assert logged["decision"]["application"] == "from the header"


async def test_who_shows_nothing_has_no_application(web: Web) -> None:
    """A bare question."""
    assert application_of(await asked(web)) is None


async def test_a_tag_that_can_not_be_one_is_refused(web: Web) -> None:
    """With the field's name."""
    for wrong in (7, "", "x" * 129, "a\nb"):
        answer = await asked(web, metadata={"application": wrong})
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == "metadata.application"
    answer = await asked(web, headers={"x-collegium-application": "x" * 129})
    assert answer.json()["error"]["param"] == "x-collegium-application"
    assert (await asked(web, metadata="anything")).status_code == 200


async def test_background_jobs_are_applications(web: Web) -> None:
    """Whatever the system prompt says."""
    text = "### Task:\nGenerate 1-3 broad tags categorizing the main themes of the chat history"
    assert application_of(await asked(web, ORDERS, text)) == "background-tags"


async def test_a_policy_rules_the_next_request(web: Web) -> None:
    """Experts are excluded, also by name; the trade-off is for requests that give none."""
    tag: dict[str, Any] = {"metadata": {"application": "desk"}}
    assert (await asked(web, **tag)).json()["model"] == "sql"
    rules = {"experts_deny": ["sql"], "tradeoff": 5, "max_cost_usd": 0.5}
    changed = await web.http.patch("/v1/applications/desk", json={"policy": rules})
    assert changed.json()["policy"] == rules
    answer = await asked(web, **tag)
    assert answer.json()["model"] != "sql"
    forecasts = answer.json()["collegium"]["decision"]["forecasts"]
    assert "sql" not in [forecast["expert"] for forecast in forecasts]
    named = await asked(web, model="sql", **tag)
    assert named.status_code == 422
    assert "policy of application 'desk' excludes" in named.json()["error"]["message"]
    assert (await asked(web)).json()["model"] == "sql"
    none = await asked(web, routing={"experts_allow": ["sql"]}, **tag)
    assert (none.status_code, none.json()["error"]["code"]) == (422, "no_feasible_expert")


async def test_a_rule_is_taken_away_with_null(web: Web) -> None:
    """What is left out stays."""
    await asked(web, metadata={"application": "desk"})
    path = "/v1/applications/desk"
    await web.http.patch(path, json={"policy": {"tradeoff": 5, "max_cost_usd": 1}})
    await web.http.patch(path, json={"policy": {"tradeoff": None}})
    assert (await web.http.get(path)).json()["policy"] == {"max_cost_usd": 1}


async def test_a_wrong_policy_is_refused(web: Web) -> None:
    """With the field that is wrong."""
    await asked(web, metadata={"application": "desk"})
    for rules, where in (
        ({"experts_deny": ["nobody"]}, "policy.experts_deny"),
        ({"tradeoff": 11}, "policy.tradeoff"),
        ({"experts_allow": []}, "policy.experts_allow"),
        ({"budget_window_s": 60}, "policy.budget_window_s"),
        ({"unknown": 1}, "policy.unknown"),
    ):
        answer = await web.http.patch("/v1/applications/desk", json={"policy": rules})
        assert answer.status_code == 400, rules
        assert answer.json()["error"]["param"] == where


async def test_required_tags_exclude_experts_without_them(web: Web) -> None:
    """Here nobody has any."""
    tag: dict[str, Any] = {"metadata": {"application": "desk"}}
    await asked(web, **tag)
    await web.http.patch("/v1/applications/desk", json={"policy": {"required_tags": ["eu"]}})
    answer = await asked(web, **tag)
    assert "leaves no expert" in answer.json()["error"]["message"]


async def test_merged_applications_share_key_and_policy_until_they_are_split(web: Web) -> None:
    """The tagged and the untagged part of one application."""
    own = application_of(await asked(web, ORDERS))
    await asked(web, metadata={"application": "desk"})
    await web.http.patch("/v1/applications/desk", json={"policy": {"experts_deny": ["sql"]}})
    merged = await web.http.post(f"/v1/applications/{own}/merge", json={"into": "desk"})
    assert merged.json()["merged_into"] == "desk"
    answer = await asked(web, ORDERS)
    assert application_of(answer) == "desk"
    assert answer.json()["model"] != "sql"
    desk = (await web.http.get("/v1/applications/desk")).json()
    assert (desk["merged"], desk["requests"]) == ([own], 3)
    split = await web.http.post("/v1/applications/desk/split", json={"fingerprint": own})
    assert split.json()["key"] == own
    assert application_of(await asked(web, ORDERS)) == own


async def test_what_makes_no_sense_is_not_merged_or_split(web: Web) -> None:
    """Circles, nothing to undo, nobody there."""
    for name in ("one", "two"):
        await asked(web, metadata={"application": name})
    path = "/v1/applications"
    assert (await web.http.post(f"{path}/one/merge", json={"into": "none"})).status_code == 404
    itself = await web.http.post(f"{path}/one/merge", json={"into": "one"})
    assert "into itself" in itself.json()["error"]["message"]
    await web.http.post(f"{path}/one/merge", json={"into": "two"})
    circle = await web.http.post(f"{path}/two/merge", json={"into": "one"})
    assert "merged into 'two' already" in circle.json()["error"]["message"]
    not_merged = await web.http.post(f"{path}/two/split", json={})
    assert "it holds one" in not_merged.json()["error"]["message"]


async def test_applications_of_tenants_are_apart(serve: Serve) -> None:
    """The same tag, the same prompt; and only the operator sees the list."""
    async with serve(**KEYS) as web:
        keys = []
        for key in ("a-key-of-a", "a-key-of-b", "the-administrators-key"):
            headers = {"authorization": f"Bearer {key}"}
            tag: dict[str, Any] = {"metadata": {"application": "desk"}}
            keys.append(application_of(await asked(web, headers=headers, **tag)))
            keys.append(application_of(await asked(web, ORDERS, headers=headers)))
        assert keys[::2] == ["team-a:desk", "team-b:desk", "desk"]
        assert len(set(keys)) == 6
        caller = {"authorization": "Bearer a-key-of-a"}
        assert (await web.http.get("/v1/applications", headers=caller)).status_code == 403
        operator = {"authorization": "Bearer the-administrators-key"}
        path = "/v1/applications/team-a:desk/merge"
        answer = await web.http.post(path, json={"into": "desk"}, headers=operator)
        assert "different tenants" in answer.json()["error"]["message"]


async def test_a_restarted_service_knows_them(web: Web) -> None:
    """With what was decided about them; what was seen is written when the service ends."""
    own = application_of(await asked(web, ORDERS))
    await web.http.patch(f"/v1/applications/{own}", json={"name": "Orders"})
    await asked(web, ORDERS)
    await web.parts.recognition.close()
    another = Recognition(ApplicationRegistry(web.parts.database))
    await another.read()
    system = f"# Memory\n{pasted(random.Random(1), 80)}\n{ORDERS}"
    assert another.applications.of(Signals(system=system)) == own
    shown = await another.get(str(own))
    assert (shown.name, shown.seen) == ("Orders", 3)


async def test_replicas_follow_each_other(web: Web) -> None:
    """What another process wrote is known after the next reading, and counts are added up."""
    await asked(web, metadata={"application": "desk"})
    await web.parts.recognition.synchronise()
    other = ApplicationRegistry(web.parts.database)
    await other.keep([Application("desk", tagged=True, seen=5)])
    await other.change("desk", policy={"experts_deny": ["sql"]})
    await web.parts.recognition.synchronise()
    assert (await asked(web, metadata={"application": "desk"})).json()["model"] != "sql"
    assert (await web.http.get("/v1/applications/desk")).json()["requests"] == 7


async def test_texts_are_not_kept_where_prompts_are_not(serve: Serve) -> None:
    """A system prompt may hold what a user said."""
    async with serve(record="off") as web:
        own = application_of(await asked(web, ORDERS))
        assert (await web.http.get(f"/v1/applications/{own}")).json()["text"] == ""


async def test_a_panel_keeps_to_the_policy(web: Web) -> None:
    """No member is excluded by it."""
    tag: dict[str, Any] = {"metadata": {"application": "desk"}}
    await asked(web, **tag)
    await web.http.patch("/v1/applications/desk", json={"policy": {"experts_deny": ["sql"]}})
    answer = await asked(web, model="collegium/vote", routing={"k": 2}, **tag)
    assert application_of(answer) == "desk"
    assert not web.experts["sql"].asked[1:]


async def test_lines_of_a_bulk_job_have_applications(web: Web) -> None:
    """By their own bodies."""
    body: Any = LINE["body"]
    line = {**body, "metadata": {"application": "nightly"}}
    decided = await web.parts.pipeline.decide(prepared(parsed_of(Line(1, "a", line)).chat, NOBODY))
    assert decided.decision.application == "nightly"


async def test_metrics_have_a_series_for_the_busiest(web: Web) -> None:
    """One of each application."""
    for _ in range(2):
        await asked(web, metadata={"application": "desk"})
    found = await web.metrics()
    assert found['collegium_application_decisions_total{application="desk"}'] == 2


def test_metrics_have_a_bounded_number_of_series() -> None:
    """The busiest have their own; a busy newcomer takes the place of a quiet one."""
    applications = Metrics()._applications
    for number in range(MOST_APPLICATIONS + 30):
        applications.count(f"app {number}")
    for _ in range(5):
        applications.count("late")
    lines = next(iter(applications._counter.collect())).samples
    named = {s.labels["application"]: s.value for s in lines if s.name.endswith("_total")}
    assert len(named) == MOST_APPLICATIONS + 1
    assert named["other"] == 31
    assert named["late"] == 4


async def test_a_policy_may_be_set_before_traffic(web: Web) -> None:
    """It rules the first request with the tag; a refused one makes no application."""
    path = "/v1/applications/support-chat"
    wrong = await web.http.patch(path, json={"policy": {"experts_deny": ["nobody"]}})
    assert wrong.status_code == 400
    assert (await web.http.get(path)).status_code == 404
    made = await web.http.patch(path, json={"policy": {"experts_deny": ["sql"]}})
    assert made.status_code == 200, made.text
    assert (made.json()["requests"], made.json()["tagged"]) == (0, True)
    answer = await asked(web, metadata={"application": "support-chat"})
    assert answer.json()["model"] != "sql"
    assert application_of(answer) == "support-chat"
    assert (await web.http.get(path)).json()["requests"] == 1


@pytest.mark.parametrize("key", ["app-1f2e3d4c", "shop:app-1f2e3d4c", "x" * 300])
async def test_keys_that_are_no_tags_have_to_be_known(web: Web, key: str) -> None:
    """So does an application that is only given a name."""
    path = f"/v1/applications/{key}"
    assert (await web.http.patch(path, json={"policy": {"tradeoff": 5}})).status_code == 404
    unnamed = await web.http.patch("/v1/applications/chat", json={"name": "Chat"})
    assert unnamed.status_code == 404
