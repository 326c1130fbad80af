"""A live pool is judged as a recorded set is, with its own router's decisions in it."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from collegium.evals.core.bootstrap import Interval
from collegium.evals.core.pages import Card
from collegium.evals.routing import text
from collegium.evals.routing.embeddings import EmbeddingCache
from collegium.evals.routing.live import ChatShare, LiveReport, chat_share, judge_pool
from collegium.evals.routing.page import live_page
from collegium.evals.tasks.base import Example
from collegium.evals.tasks.outcomes import Outcomes
from collegium.experts.questions.endpoint import Decided
from tests.evals.core.page_reader import HOSTILE, Reader, check_alone
from tests.evals.routing.worlds import SkillEncoder

EXPERTS = ("maths", "poems", HOSTILE)
TASKS = ("maths",) * 20 + ("poems",) * 20


def pool() -> Outcomes:
    """Two specialists that are right 18 and 19 times in 20 on their task, and one that never is."""
    scores = np.zeros((40, 3))
    scores[:18, 0] = scores[20:39, 1] = 1
    examples = tuple(
        Example(f"p{n}", task, "t", f"{task} question {n}", "") for n, task in enumerate(TASKS)
    )
    ones = np.ones_like(scores)
    return Outcomes.of(examples, EXPERTS, np.stack([scores, ones, ones, ones]))


def decision(expert: str, overhead_ms: float = 2.0) -> Decided:
    """A decision by forecasts of two experts."""
    quality = {name: 0.9 if name == expert else 0.2 for name in EXPERTS[:2]}
    return Decided(expert, "auto", overhead_ms, {**quality, HOSTILE: None})


def judged(decided: list[Decided], folder: Path, chat: ChatShare | None = None) -> LiveReport:
    """The pool, judged by these decisions."""
    cache = EmbeddingCache(folder)
    return judge_pool(pool(), decided, SkillEncoder(), cache, chat=chat, command="<i>eval</i>")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> LiveReport:
    """A router that knows who can do what but errs twice, and is slow once."""
    wrong = {0: "poems", 1: "poems"}
    decided = [decision(wrong.get(n, task)) for n, task in enumerate(TASKS)]
    decided[-1] = decision("poems", overhead_ms=42.0)
    chat = chat_share([decision(HOSTILE)] * 9 + [decision("maths")], HOSTILE, "ten <chats>")
    return judged(decided, tmp_path_factory.mktemp("cache"), chat)


def test_the_headline_is_what_a_hand_computes(report: LiveReport) -> None:
    """35 of 40 right; the oracle 37, the best single expert 19: 16 of 18 are closed."""
    found = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert found["kind"] == "pool"
    assert found["router"] == pytest.approx(35 / 40)
    assert (found["oracle"], found["best_single"]) == pytest.approx((37 / 40, 19 / 40))
    assert found["random"] == pytest.approx(37 / 120)
    assert found["gap_closed"]["estimate"] == pytest.approx(16 / 18)
    assert found["gap_closed"]["low"] < 16 / 18 < found["gap_closed"]["high"] <= 1
    assert found["overhead_ms"] == pytest.approx({"mean": 3.0, "median": 2.0, "p95": 2.0})
    assert found["chat"]["share"]["estimate"] == 0.9
    assert "87.5 % right, the best single expert" in text.live_verdict(report)
    assert [row["name"] for row in found["sets"][0]["contenders"] if row["kind"] == "router"] == [
        "router"
    ]


def test_every_prompt_is_judged_and_baselines_learn_from_others(report: LiveReport) -> None:
    """The table of true tasks finds both specialists; a bar that only the oracle passes."""
    found = report.routing.sets[0]
    assert (found.test_prompts, found.folds) == (40, 5)
    assert found.contender("task_table", "baseline").accuracy.estimate == pytest.approx(37 / 40)


def test_calibration_is_over_forecasts_that_were_made(report: LiveReport) -> None:
    """Two of three experts have one for each prompt."""
    router = report.routing.sets[0].contender("router", "router")
    assert router.calibration is not None
    assert router.calibration.count == 80
    assert router.spread is not None
    assert router.spread.shares == pytest.approx({"maths": 0.45, "poems": 0.55, HOSTILE: 0.0})


def test_skills_are_accuracies_by_task(report: LiveReport) -> None:
    """With intervals that are honest where everybody agrees."""
    assert report.skills["maths"]["maths"].estimate == pytest.approx(0.9)
    nobody: Interval = report.skills["maths"][HOSTILE]
    assert nobody.estimate == 0
    assert nobody.high > 0.1
    assert text.skills(report)[0] == ["accuracy %", *EXPERTS]


def test_without_a_gap_there_is_none_to_close(tmp_path: Path) -> None:
    """Where one expert is always right, a share of nothing is not reported."""
    best = pool()
    best.scores[:, 0] = 1
    found = judge_pool(best, [decision("maths")] * 40, SkillEncoder(), EmbeddingCache(tmp_path))
    assert found.gap_closed is None
    assert "no gap to close" in text.live_verdict(found)


def test_a_router_that_sends_all_to_one_is_told(tmp_path: Path) -> None:
    """The alarm of recorded sets; 19 of 40 are what the best single expert has."""
    found = judged([decision("poems")] * 40, tmp_path)
    assert found.gap_closed is not None
    assert found.gap_closed.estimate == 0
    assert text.alarms(found.routing.sets[0]) == ["collapse: to 'poems' go 'router' 100.0 %"]


def test_the_page_holds_all_and_escapes_it(report: LiveReport) -> None:
    """Skills, the verdict, the share of chats, and the cards that are given."""
    page = live_page(report, Card("Panels", "of <b>", remarks=["a remark"]))
    check_alone(page)
    assert not re.search(r"<i>|<chats>|of <b>", page)
    words = " ".join(Reader(page).texts)
    assert text.live_verdict(report) in words
    for shown in ("Experts by task", "ten <chats>", "Panels", "of <b>", HOSTILE, "<i>eval</i>"):
        assert shown in words


def test_drawing_leaves_matplotlib_as_it_was(report: LiveReport) -> None:
    """Our style is ours alone, and the same report gives the same page."""
    import matplotlib

    before = dict(matplotlib.rcParams)
    assert live_page(report) == live_page(report)
    assert dict(matplotlib.rcParams) == before
