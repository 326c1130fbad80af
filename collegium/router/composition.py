"""Who answers what under a budget: assignments of experts to categories or queries.

The two-step mapping of Composition of Experts (arXiv 2412.01868) sends a query to its category and
a category to an expert. The second step is an integer program: maximise the expected quality, one
expert a row, while no budget's average is overspent. HiGHS solves it exactly; the dual of its
linear relaxation is the budget's shadow price.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

from collegium.errors import CollegiumError, NoFeasibleExpert

Array = NDArray[np.float64]
INTEGRAL = 1 - 1e-6  # a relaxed choice above this is a choice
EXACT = 1e-9  # what sums of floats may be off, relative to the greatest use


@dataclass(frozen=True)
class Budget:
    """At most `limit` a query on average; `use` has shape (rows, experts), NaN where unknown."""

    name: str
    use: Array
    limit: float
    unit: str = ""


@dataclass(frozen=True)
class Assignment:
    """One expert a row, and what it means on average for a query.

    `bound` is the relaxed program's quality, which no assignment exceeds. A shadow price is the
    quality that one more unit of its budget would buy; 0 where the budget does not bind.
    """

    experts: NDArray[np.intp]
    quality: float
    spent: Mapping[str, float]
    bound: float
    shadow_prices: Mapping[str, float]

    @property
    def gap(self) -> float:
        """The duality gap: the quality that the best assignment might at most have more."""
        return max(self.bound - self.quality, 0.0)


def compose(quality: Array, budgets: Sequence[Budget], weights: Array | None = None) -> Assignment:
    """The best expert for each row, exactly; raises NoFeasibleExpert with the nearest budgets.

    `quality` has shape (rows, experts), NaN where an expert must not be chosen; `weights` (rows,)
    are the rows' shares of the queries, by default all the same.
    """
    problem = _Problem.of(quality, budgets, weights)
    bound, prices, _ = _relaxed(problem)
    chosen = _integral(problem)
    if chosen is None:
        raise infeasible(problem.budgets, problem.weights, problem.allowed)
    return _assignment(problem, chosen, bound, prices)


def assign(quality: Array, budgets: Sequence[Budget]) -> Assignment:
    """An expert for each query of a batch, all together under the budgets: nearly the best.

    The relaxation leaves at most one query a budget undecided (its vertices are that integral), so
    only these are solved as an integer program; `gap` says what this may have cost.
    """
    problem = _Problem.of(quality, budgets, None)
    bound, prices, shares = _relaxed(problem)
    chosen = shares.argmax(axis=1)
    open_rows = np.flatnonzero(shares.max(axis=1) < INTEGRAL)
    if len(open_rows):
        rest = _integral(problem.without(chosen, open_rows))
        if rest is None:  # several budgets, and no whole expert fits what is left of them
            return compose(quality, budgets)
        chosen[open_rows] = rest
    return _assignment(problem, chosen, bound, prices)


def infeasible(
    budgets: Sequence[Budget], weights: Array, allowed: NDArray[np.bool_]
) -> NoFeasibleExpert:
    """Name the budgets that bind and the nearest average that each would need."""
    alone = [_least(budget, (), weights, allowed) for budget in budgets]
    needs = [
        f"{b.name}={b.limit:g} is too little; the nearest feasible is {_up(least)} {b.unit}".strip()
        for b, least in zip(budgets, alone, strict=True)
        if least is not None and least > b.limit
    ]
    if not needs:
        needs = _joint_needs(budgets, weights, allowed)
    if not allowed.any(axis=1).all():
        needs = ["some row has no expert of known quality and use"]
    return NoFeasibleExpert(f"No assignment fits the budgets: {'; '.join(needs)}.", "budget")


def _joint_needs(
    budgets: Sequence[Budget], weights: Array, allowed: NDArray[np.bool_]
) -> list[str]:
    """Each budget fits alone, not all together: what each needs while the others hold."""
    needs = []
    for i, budget in enumerate(budgets):
        others = [b for j, b in enumerate(budgets) if j != i]
        least = _least(budget, others, weights, allowed)
        if least is not None:
            held = " and ".join(f"{b.name}={b.limit:g}" for b in others)
            needs.append(f"with {held}, {budget.name} needs {_up(least)} {budget.unit}".strip())
    return needs or ["no budget can be mended alone"]


def _least(
    budget: Budget, others: Sequence[Budget], weights: Array, allowed: NDArray[np.bool_]
) -> float | None:
    """The least average use of one budget while the others hold; None where they can't."""
    use = np.where(allowed, budget.use, np.nan)
    if not allowed.any(axis=1).all():
        return None
    if not others:
        return float(weights @ np.nanmin(use, axis=1))
    chosen = _integral(_Problem(-use, tuple(others), weights))
    return None if chosen is None else float(weights @ use[np.arange(len(use)), chosen])


def _up(value: float) -> str:
    """Four digits, never below the value."""
    text = f"{value:.4g}"
    return text if float(text) >= value else f"{value * (1 + 5e-4):.4g}"


@dataclass(frozen=True)
class _Problem:
    """Maximise the mean of `quality` with one expert a row under all budgets."""

    quality: Array
    budgets: tuple[Budget, ...]
    weights: Array

    @classmethod
    def of(cls, quality: Any, budgets: Sequence[Budget], weights: Array | None) -> _Problem:
        quality = np.asarray(quality, dtype=np.float64)
        shares = np.ones(len(quality)) if weights is None else np.asarray(weights, np.float64)
        return cls(quality, tuple(budgets), shares / shares.sum())

    @property
    def allowed(self) -> NDArray[np.bool_]:
        """Cells whose quality and uses are all known."""
        known = [np.isfinite(self.quality), *(np.isfinite(b.use) for b in self.budgets)]
        return np.asarray(np.logical_and.reduce(known))

    @property
    def scales(self) -> Array:
        """What each budget's row is divided by, so that the solver's tolerances fit it."""
        most = [np.nanmax(np.abs(np.r_[b.use.ravel(), b.limit])) for b in self.budgets]
        return np.maximum(np.asarray(most, dtype=np.float64), np.finfo(float).tiny)

    def without(self, chosen: NDArray[np.intp], rows: NDArray[np.intp]) -> _Problem:
        """The problem of the open `rows`, with what the others leave of each budget."""
        closed = np.setdiff1d(np.arange(len(chosen)), rows)
        share = float(self.weights[rows].sum())
        left = [
            replace(
                b,
                use=b.use[rows],
                limit=(b.limit - float(self.weights[closed] @ b.use[closed, chosen[closed]]))
                / share,
            )
            for b in self.budgets
        ]
        return _Problem(self.quality[rows], tuple(left), self.weights[rows] / share)

    def spent(self, chosen: NDArray[np.intp]) -> Array:
        """Each budget's average."""
        rows = np.arange(len(chosen))
        return np.array([self.weights @ b.use[rows, chosen] for b in self.budgets])


def _assignment(
    problem: _Problem, chosen: NDArray[np.intp], bound: float, prices: Array
) -> Assignment:
    names = [b.name for b in problem.budgets]
    rows = np.arange(len(chosen))
    return Assignment(
        chosen,
        float(problem.weights @ problem.quality[rows, chosen]),
        dict(zip(names, problem.spent(chosen).tolist(), strict=True)),
        bound,
        dict(zip(names, prices.tolist(), strict=True)),
    )


def _matrices(problem: _Problem) -> tuple[Array, Any, Array, Any, Array]:
    """The program's gain, one-expert-a-row constraint, budget rows, budget limits, upper bounds."""
    rows, experts = problem.quality.shape
    allowed = problem.allowed
    weights = problem.weights[:, None]
    gain = np.where(allowed, weights * problem.quality, 0.0).ravel()
    one_each = sparse.kron(sparse.eye(rows), np.ones((1, experts)), format="csr")
    uses = [
        np.where(allowed, weights * b.use, 0.0).ravel() / scale
        for b, scale in zip(problem.budgets, problem.scales, strict=True)
    ]
    limits = np.array([b.limit for b in problem.budgets]) / problem.scales
    return gain, one_each, sparse.csr_array(np.array(uses)), limits, allowed.ravel().astype(float)


def _relaxed(problem: _Problem) -> tuple[float, Array, Array]:
    """The linear relaxation: quality, shadow prices, each row's shares of the experts."""
    gain, one_each, uses, limits, most = _matrices(problem)
    budgeted = {"A_ub": uses, "b_ub": limits} if len(limits) else {}
    ones = np.ones(len(problem.quality))
    bounds = np.column_stack([np.zeros_like(most), most])
    found = linprog(-gain, A_eq=one_each, b_eq=ones, bounds=bounds, method="highs-ds", **budgeted)
    if found.status == 2:
        raise infeasible(problem.budgets, problem.weights, problem.allowed)
    if found.status != 0:
        raise CollegiumError(f"HiGHS could not solve the relaxed assignment: {found.message}")
    prices = -np.asarray(found.ineqlin.marginals) / problem.scales
    return -float(found.fun), np.maximum(prices, 0.0), found.x.reshape(problem.quality.shape)


def _integral(problem: _Problem) -> NDArray[np.intp] | None:
    """The exact solution, (rows,); None where there is none.

    The solver keeps its constraints to 1e-6 only: a solution that overspends by as little is
    refused, and the budget tightened by that much, until one holds.
    """
    gain, one_each, uses, limits, most = _matrices(problem)
    for _ in range(8):
        constraints = [LinearConstraint(one_each, 1, 1)]
        if len(limits):
            constraints.append(LinearConstraint(uses, -np.inf, limits))
        found = milp(
            -gain,
            integrality=np.ones_like(gain),
            bounds=Bounds(0, most),
            constraints=constraints,
            options={"mip_rel_gap": 0.0},
        )
        if found.x is None:
            return None
        chosen = np.asarray(found.x.reshape(problem.quality.shape).argmax(axis=1))
        limit = np.array([b.limit for b in problem.budgets])
        excess = (problem.spent(chosen) - limit) / problem.scales
        if not (excess > EXACT).any():
            return chosen
        limits = np.where(excess > EXACT, limits - 2 * np.maximum(excess, 1e-7), limits)
    return None
