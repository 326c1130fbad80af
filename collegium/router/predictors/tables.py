"""Tables of rates: each expert's rate in groups of queries."""

from __future__ import annotations

import numpy as np

from collegium.router.predictors.base import Array, rates

PRIORS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)


def shrunk_table(members: Array, scores: Array, priors: tuple[float, ...] = PRIORS) -> Array:
    """Return each expert's rate in each group, shape (groups, e), shrunk towards its overall rate.

    `members` (n, groups) holds each query's share in each group, `scores` (n, e) NaN where
    unmeasured. The pull is as strong as forecasts left-out queries best: that many queries of
    overall rate are added to each group (empirical Bayes).
    """
    seen = ~np.isnan(scores)
    known = np.where(seen, scores, 0.0)
    usual = rates(scores)
    right, total = members.T @ known, members.T @ seen
    errors = [_left_out_error(members, scores, right, total, usual, prior) for prior in priors]
    best = priors[int(np.argmin(errors))]
    return np.asarray((right + best * usual) / (total + best))


def _left_out_error(
    members: Array, scores: Array, right: Array, total: Array, usual: Array, prior: float
) -> float:
    """Return the leave-one-out squared error of each query in its main group.

    Only queries whose group is certain are left out exactly; the error serves to compare priors.
    """
    group = members.argmax(axis=1)
    own = np.take_along_axis(members, group[:, None], axis=1)
    without = right[group] - own * np.where(np.isnan(scores), 0.0, scores)
    count = np.maximum(total[group] - own, 0.0)
    forecast = (without + prior * usual) / (count + prior)
    return float(np.nansum((forecast - scores) ** 2))
