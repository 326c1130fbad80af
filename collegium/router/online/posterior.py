"""The posterior of each expert's deviation from its forecast since the router was fitted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
REFRESH = 16  # updates after which the other experts' inverses follow the discount (1.6 % of it)


class Residuals:
    """Discounted Bayesian linear regression of (observed - forecast), one for each expert.

    The statistics are those of discounted LinUCB (Russac, Vernade and Cappé, NeurIPS 2019):
    every update multiplies all old evidence by `discount`, so that what is not asked for a while
    becomes uncertain again; the prior is never forgotten. The prior mean is zero: without
    evidence the forecast stands.

    `precision` (e, k, k) and `moment` (e, k) are all its state.
    """

    def __init__(
        self,
        experts: int,
        features: int,
        *,
        discount: float,
        noise: float,
        offset_sd: float,
        slope_sd: float,
    ) -> None:
        self.discount = discount
        self.noise = noise
        spread = np.r_[offset_sd, np.full(features - 1, slope_sd)]
        self._prior = np.diag(spread**-2.0)
        self.precision = np.zeros((experts, features, features))
        self.moment = np.zeros((experts, features))
        self._updates = 0
        self.refresh()

    def refresh(self) -> None:
        """Bring means and covariances up to date with the statistics."""
        self.covariance = np.linalg.inv(self._prior + self.precision)
        self.coefficients = np.einsum("ekl,el->ek", self.covariance, self.moment)

    def make_room(self, experts: int) -> None:
        """Append experts without evidence."""
        shape = self.precision.shape[1:]
        self.precision = np.concatenate([self.precision, np.zeros((experts, *shape))])
        self.moment = np.concatenate([self.moment, np.zeros((experts, shape[0]))])
        self.refresh()

    def mean(self, z: Array) -> Array:
        """Expected difference from the forecast for features (k,), shape (e,)."""
        return np.asarray(self.coefficients @ z)

    def variance(self, z: Array) -> Array:
        """Posterior variance of that mean, shape (e,)."""
        return np.asarray((self.covariance @ z) @ z)

    def update(self, expert: int, z: Array, residual: float, weight: float = 1.0) -> None:
        """Take one observation into account; `weight` 0 only lets time pass."""
        self.precision *= self.discount
        self.moment *= self.discount
        scaled = weight / self.noise**2
        self.precision[expert] += scaled * np.outer(z, z)
        self.moment[expert] += scaled * residual * z
        self._updates += 1
        if self._updates % REFRESH == 0:
            self.refresh()
        else:
            self._refresh_one(expert)

    def _refresh_one(self, expert: int) -> None:
        self.covariance[expert] = np.linalg.inv(self._prior + self.precision[expert])
        self.coefficients[expert] = self.covariance[expert] @ self.moment[expert]
