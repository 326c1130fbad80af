"""Other projects' routers in our tables: their rows, and what stands there where they have none."""

from collections.abc import Mapping

import numpy as np
import pytest

from collegium.errors import PeerFailed
from collegium.evals.core.provenance import provenance
from collegium.evals.routing import text
from collegium.evals.routing.choosing import Choice
from collegium.evals.routing.evaluate import Evaluated, evaluate, mean_differences
from collegium.evals.routing.lessons import Exam, Lesson, Peer
from collegium.evals.routing.page import html_page
from collegium.evals.routing.problem import build
from collegium.evals.routing.routing_report import Contender, RoutingReport
from tests.evals.routing.test_evaluate import ROUTERS
from tests.evals.routing.worlds import SKILLS, vectors, world


def by_skill(lesson: Lesson, exam: Exam) -> Choice:
    """Choose the first, second and third model for maths, poems and law: always the right one."""
    return Choice(exam.X[:, : len(SKILLS)].argmax(axis=1))


def ranks(lesson: Lesson, exam: Exam) -> Choice:
    """Choose the same, and say by what order, on a scale that is no probability."""
    ranking = 10 * exam.X[:, : len(SKILLS)]
    return Choice(ranking.argmax(axis=1), ranking)


def fails(lesson: Lesson, exam: Exam) -> Choice:
    """Fail as a peer's process may."""
    raise PeerFailed("other/fails", "ValueError: one class")


PEERS = {
    "other/skill": Peer(by_skill, "other 1.0"),
    "other/ranks": Peer(ranks, "other 1.0"),
    "other/fails": Peer(fails, "other 1.0"),
    "other/pairs": Peer(by_skill, "other 1.0", pairs_only=True),
}


def judge(peers: Mapping[str, Peer], *, gaps: bool = False, seed: int = 0) -> Evaluated:
    """Evaluate peers beside two routers, one of which makes the very same choices."""
    data = world(150, seed=seed)
    training = np.isin(
        np.arange(450), np.random.default_rng(7).permutation(450)[:300], assume_unique=True
    )
    if gaps:
        maths = np.array([task == "maths" for task in data.labels["task"]])
        data.scores[maths & ~training, 0] = np.nan
    problem = build(data, training)
    return evaluate(problem, vectors(data.prompts), ROUTERS, peers=peers, resamples=300)


@pytest.fixture(scope="module")
def found() -> Evaluated:
    """Return the evaluation with all peers."""
    return judge(PEERS)


def row(found: Evaluated, name: str, kind: str = "peer") -> Contender:
    """Return a row."""
    return found.report.contender(name, kind)  # type: ignore[arg-type]


def test_a_peer_scores_what_its_choices_score(found: Evaluated) -> None:
    """It chooses as the router that knows all does, so it gets the same, and costs the same."""
    peer, router = row(found, "other/skill"), row(found, "knows_all", "router")
    assert peer.accuracy == router.accuracy
    assert peer.cost_usd == router.cost_usd
    assert peer.spread == router.spread
    assert peer.note == "other 1.0"


def test_what_needs_forecasts_is_left_out(found: Evaluated) -> None:
    """A ranking has a curve but no calibration; choices alone have neither."""
    only, ranked = row(found, "other/skill"), row(found, "other/ranks")
    assert (only.apgr, only.aiq, only.curve, only.calibration) == (None, None, (), None)
    assert ranked.apgr is not None
    assert ranked.aiq is not None
    assert ranked.calibration is None
    assert ranked.accuracy == only.accuracy


def test_routers_are_compared_with_peers(found: Evaluated) -> None:
    """No difference to the same choices, a loss for the stubborn one; baselines are not."""
    same = row(found, "knows_all", "router").differences["other/skill"]
    assert same.estimate == 0
    assert not same.excludes(0)
    lost = row(found, "stubborn", "router")
    assert lost.differences["other/skill"].high < 0
    assert lost.macro_differences["other/skill"].high < 0
    assert "other/skill" not in row(found, "other/ranks").differences
    assert "other/skill" not in row(found, "tuned_knn", "baseline").differences


def test_a_peer_without_an_answer_has_a_remark(found: Evaluated) -> None:
    """One that failed and one for two models only: no row, and the rest is judged all the same."""
    assert {peer.name for peer in found.report.peers} == {"other/skill", "other/ranks"}
    assert (
        "no row of other/fails: the peer other/fails gave no answer: ValueError: one class"
        in found.report.notes
    )
    assert "no row of other/pairs: it routes between two models" in found.report.notes


def test_an_unmeasured_choice_is_replaced_and_counted() -> None:
    """On maths, whose right model was not measured, by the best single model, which was."""
    found = judge({"other/skill": PEERS["other/skill"]}, gaps=True)
    maths = found.report.tasks["maths"]
    note = f"{maths} choices of other/skill were not measured: the best single model stands in"
    assert note in found.report.notes
    single = row(found, "best_single", "baseline")
    assert row(found, "other/skill").per_task["maths"] == single.per_task["maths"]


def test_tables_and_page_show_peers(found: Evaluated) -> None:
    """Their rows, what our routers gain on them, and the mean over sets where all have them."""
    both = [found, judge({"other/skill": PEERS["other/skill"]}, seed=1)]
    sets = tuple(each.report for each in both)
    made = provenance("collegium eval routing", 0, {"sets": 2})
    report = RoutingReport("skills", None, "knows_all", sets, mean_differences(both), made)
    head, *rows = text.peer_differences(found.report)
    assert head[:3] == ["less the peer", "knows_all", "stubborn"]
    assert {line[0] for line in rows} == {"other/skill", "other/ranks"}
    means = text.peer_means(report)
    assert [line[0] for line in means] == ["mean of 2 sets, less", "other/skill"]
    assert means[1][1].startswith("+0.00 [")
    page = html_page(report)
    assert "Other projects' routers" in page or "Other projects&#39; routers" in page
    assert page.count("other/skill") > 4
    assert text.peer_differences(judge({}).report) == []
