"""Assign the lines of a bulk job to experts jointly, under capacities and a budget.

Maximise the sum of each line's value at its expert, one expert a line, at most `capacity` lines an
expert, at most `budget` spent. With capacities alone this is a transportation problem (a min-cost
flow), whose linear program has whole solutions; a budget makes it an integer program. HiGHS solves
both; the relaxation's dual prices say what one more line of capacity or one more dollar would buy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from collegium.errors import CollegiumError, NoFeasibleExpert

if TYPE_CHECKING:
    from scipy import sparse

Array = NDArray[np.float64]
INTEGRAL = 1 - 1e-6
EXACT = 1e-9
SOLVER_S = 30.0
"""After that the best assignment so far is taken; `gap` says how far it may be from the best."""


@dataclass(frozen=True)
class JobLimits:
    """Limits of a whole job; None, or a missing expert, means no limit."""

    budget_usd: float | None = None
    capacity: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class JobAssignment:
    """Each line's expert (an index), and the shadow prices of the limits.

    `value` is the sum over lines, `bound` what no assignment can exceed; `budget_price` is value a
    dollar, `capacity_prices` value a line, both 0 if the limit does not bind.
    """

    experts: NDArray[np.intp]
    value: float
    bound: float
    cost_usd: float
    budget_price: float
    capacity_prices: Mapping[str, float]

    @property
    def gap(self) -> float:
        """The most by which the optimal assignment might be better."""
        return max(self.bound - self.value, 0.0)


def assign_job(
    value: Array, cost_usd: Array, experts: Sequence[str], limits: JobLimits
) -> JobAssignment:
    """The best assignment; `value` and `cost_usd` have shape (lines, experts), NaN: not allowed.

    Raises NoFeasibleExpert with what would be needed when the limits leave no assignment.
    """
    job = _Job.of(value, cost_usd, experts, limits)
    if not job.allowed.any(axis=1).all():
        raise NoFeasibleExpert("At least one line of the job has no eligible expert", "routing")
    if not job.limited:
        chosen = np.where(job.allowed, job.value, -np.inf).argmax(axis=1)
        return job.result(chosen, None)
    relaxed = _relaxed(job)
    shares = relaxed.x.reshape(job.value.shape)
    if shares.max(axis=1).min() >= INTEGRAL:
        return job.result(shares.argmax(axis=1), relaxed)
    return job.result(_integral(job, relaxed), relaxed)


@dataclass(frozen=True)
class _Job:
    value: Array
    cost: Array
    allowed: NDArray[np.bool_]
    experts: tuple[str, ...]
    limits: JobLimits

    @classmethod
    def of(cls, value: Array, cost: Array, experts: Sequence[str], limits: JobLimits) -> _Job:
        allowed = np.isfinite(value) & np.isfinite(cost)
        return cls(
            np.where(allowed, value, 0.0),
            np.where(allowed, cost, 0.0),
            allowed,
            tuple(experts),
            limits,
        )

    @property
    def limited(self) -> bool:
        return self.limits.budget_usd is not None or bool(self.capacities)

    @property
    def capacities(self) -> dict[int, int]:
        """The limited experts by index; names that are no candidates limit nothing."""
        named = self.limits.capacity
        return {i: named[name] for i, name in enumerate(self.experts) if name in named}

    @property
    def scale(self) -> float:
        """The divisor of dollars that brings them within the solver's tolerances."""
        return float(np.abs(self.cost).max(initial=0.0)) or 1.0

    def limit_rows(self) -> tuple[sparse.csr_array, Array]:
        """The constraints `rows @ x <= most`: capacities first, the budget last."""
        sparse = _scipy().sparse
        lines, experts = self.value.shape
        rows, most = [], []
        for index, capacity in self.capacities.items():
            one = sparse.csr_array(([1.0], ([0], [index])), shape=(1, experts))
            rows.append(sparse.kron(np.ones((1, lines)), one))
            most.append(float(capacity))
        if self.limits.budget_usd is not None:
            rows.append(sparse.csr_array(self.cost.ravel()[None, :] / self.scale))
            most.append(self.limits.budget_usd / self.scale)
        return sparse.csr_array(sparse.vstack(rows)), np.array(most)

    def one_each(self) -> sparse.csr_array:
        """The constraints `rows @ x = 1`: each line has one expert."""
        sparse = _scipy().sparse
        lines, experts = self.value.shape
        return sparse.csr_array(sparse.kron(sparse.eye(lines), np.ones((1, experts))))

    def spent(self, chosen: NDArray[np.intp]) -> float:
        return float(self.cost[np.arange(len(chosen)), chosen].sum())

    def total(self, chosen: NDArray[np.intp]) -> float:
        return float(self.value[np.arange(len(chosen)), chosen].sum())

    def without(
        self,
        closed: NDArray[np.intp],
        experts: NDArray[np.intp],
        choices: NDArray[np.bool_],
        lines: NDArray[np.intp],
    ) -> _Job | None:
        """The problem of the open `lines` after the closed ones; None if they exceed the limits."""
        taken = np.bincount(experts, minlength=len(self.experts))
        capacity = {self.experts[i]: most - int(taken[i]) for i, most in self.capacities.items()}
        budget = self.limits.budget_usd
        if budget is not None:
            budget -= float(self.cost[closed, experts].sum())
        spare = -EXACT * self.scale
        if min(capacity.values(), default=0) < 0 or (budget is not None and budget < spare):
            return None
        limits = JobLimits(budget, capacity)
        return _Job(self.value[lines], self.cost[lines], choices, self.experts, limits)

    def result(self, chosen: NDArray[np.intp], relaxed: Any) -> JobAssignment:
        total = self.total(chosen)
        prices = np.zeros(0) if relaxed is None else -np.asarray(relaxed.ineqlin.marginals)
        names = [self.experts[i] for i in self.capacities]
        budgeted = relaxed is not None and self.limits.budget_usd is not None
        return JobAssignment(
            np.asarray(chosen),
            total,
            total if relaxed is None else -float(relaxed.fun),
            self.spent(chosen),
            max(float(prices[-1]) / self.scale, 0.0) if budgeted else 0.0,
            {n: max(float(p), 0.0) for n, p in zip(names, prices, strict=False)},
        )


def _relaxed(job: _Job) -> Any:
    rows, most = job.limit_rows()
    found = _scipy().optimize.linprog(
        -job.value.ravel(),
        A_ub=rows,
        b_ub=most,
        A_eq=job.one_each(),
        b_eq=np.ones(len(job.value)),
        bounds=np.column_stack([np.zeros(job.value.size), job.allowed.ravel().astype(float)]),
        method="highs-ds",  # the simplex ends on a vertex, which capacities alone leave whole
    )
    if found.status == 2:
        raise infeasible(job)
    if found.status != 0:
        raise CollegiumError(f"HiGHS could not solve the job's assignment: {found.message}")
    return found


def _integral(job: _Job, relaxed: Any) -> NDArray[np.intp]:
    """The integer program on the few lines that the relaxation leaves open, exactly.

    A first solution keeps every line that the relaxation decided. A choice whose reduced value
    loses more than that solution's gap can be in no better one (Lagrangian bound), so the rest is
    solved once more with the choices that remain: of 10,000 lines some dozens.
    """
    shares = relaxed.x.reshape(job.value.shape)
    decided = shares.max(axis=1) >= INTEGRAL
    first = _solved(job, np.where(decided[:, None], shares >= INTEGRAL, job.allowed))
    reached = -np.inf if first is None else job.total(first)
    gap = max(-float(relaxed.fun) - reached, 0.0) + EXACT
    best = _solved(job, job.allowed & (_losses(job, relaxed) <= gap))
    found = [chosen for chosen in (first, best) if chosen is not None]
    if not found:
        raise infeasible(job)
    return max(found, key=job.total)


def _losses(job: _Job, relaxed: Any) -> Array:
    """Return each choice's loss against its line's best one, at the dual prices."""
    rows, _ = job.limit_rows()
    priced = rows.T @ -np.asarray(relaxed.ineqlin.marginals)
    reduced = np.where(job.allowed, job.value - priced.reshape(job.value.shape), -np.inf)
    return np.asarray(reduced.max(axis=1, keepdims=True) - reduced)


def _solved(job: _Job, choices: NDArray[np.bool_]) -> NDArray[np.intp] | None:
    """Return the best assignment among the given choices; None if none satisfies the limits."""
    chosen = np.asarray(choices.argmax(axis=1))
    open_lines = np.flatnonzero(choices.sum(axis=1) > 1)
    closed = np.setdiff1d(np.arange(len(chosen)), open_lines)
    rest = job.without(closed, chosen[closed], choices[open_lines], open_lines)
    if rest is None:
        return None
    if len(open_lines):
        found = _whole(rest)
        if found is None:
            return None
        chosen[open_lines] = found
    return chosen


def _whole(job: _Job) -> NDArray[np.intp] | None:
    """HiGHS's answer, asked again with a tighter budget while its rounding overspends."""
    rows, most = job.limit_rows()
    optimize = _scipy().optimize
    for _ in range(8):
        found = optimize.milp(
            -job.value.ravel(),
            integrality=np.ones(job.value.size),
            bounds=optimize.Bounds(0, job.allowed.ravel().astype(float)),
            constraints=[
                optimize.LinearConstraint(job.one_each(), 1, 1),
                optimize.LinearConstraint(rows, -np.inf, most),
            ],
            options={"mip_rel_gap": 0.0, "time_limit": SOLVER_S},
        )
        if found.x is None:
            return None
        chosen = np.asarray(found.x.reshape(job.value.shape).argmax(axis=1))
        budget = job.limits.budget_usd
        excess = 0.0 if budget is None else (job.spent(chosen) - budget) / job.scale
        if excess <= EXACT:
            return chosen
        most[-1] -= 2 * max(excess, 1e-7)
    return None


def infeasible(job: _Job) -> NoFeasibleExpert:
    """Name the limits that rule out every assignment, and the values that would allow one."""
    lines = len(job.value)
    needs = []
    if job.limits.budget_usd is not None:
        least = np.where(job.allowed, job.cost, np.inf).min(axis=1).sum()
        if least > job.limits.budget_usd:
            needs.append(
                f"max_cost_usd={job.limits.budget_usd:g} is too little for {lines} lines; "
                f"the cheapest experts would cost {least:.6g} USD"
            )
    if len(job.capacities) == len(job.experts):
        room = sum(job.capacities.values())
        if room < lines:
            needs.append(f"the experts' capacities take {room} lines of {lines}")
    if not needs:
        needs.append("capacities and budget can't be kept together; raise one of them")
    return NoFeasibleExpert(f"No assignment fits the job's limits: {'; '.join(needs)}.", "routing")


def _scipy() -> Any:
    """SciPy with its solvers: a quarter of a second to load, for bulk jobs with limits only."""
    import scipy.optimize
    import scipy.sparse

    return scipy
