"""Fitting a sum of features to measured milliseconds, by relative error, in two ways.

    fit_non_negative     ms = F w,  w >= 0: nothing is known of the weights, and many of them are
                         zero (36 kinds of work of which a space uses a few)
    fit_around_prior     ms = F c,  log c ~ Normal(mean, root root'): about what each coefficient
                         is, is known; none is zero

One cannot stand for the other: a logarithm of zero does not exist, and a prior around the wrong
place predicts worse than none.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

Floats = NDArray[np.float64]


def fit_non_negative(features: Floats, measured: Floats, ridge: float = 0.0) -> Floats:
    """Non-negative weights w with features @ w near `measured`, by relative error.

    Args:
        features: (n, f).
        measured: Positive, (n,).
        ridge: How strongly each weight is pulled towards zero, in units of the weight that makes
            a feature's average as large as the median of `measured`. Needed where there may be
            fewer measurements than weights.
    """
    scale = np.abs(features).mean(axis=0)
    scale = np.where(scale == 0, 1.0, scale) / np.median(measured)
    rows, wanted = features / scale / measured[:, None], np.ones(len(measured))
    if ridge:
        rows = np.concatenate([rows, ridge * np.eye(len(scale))])
        wanted = np.concatenate([wanted, np.zeros(len(scale))])
    weights, _ = nnls(rows, wanted)
    return np.asarray(weights / scale, dtype=np.float64)


class PriorFit(NamedTuple):
    """The most probable coefficients for one noise, and how well that noise explains the data."""

    log_evidence: float
    """Laplace's approximation, up to a constant."""
    noise: float
    coefficients: Floats


def fit_around_prior(
    features: Floats, log_ms: Floats, mean: Floats, root: Floats, noise: float
) -> PriorFit:
    """The most probable log c = mean + root u, where u and the noise of log ms are normal.

    Gauss-Newton on |error / noise|^2 + |u|^2; a step is halved until it helps.

    Args:
        features: None negative, (n, k).
        log_ms: Logarithms of the measured milliseconds, (n,).
        mean: Of the prior of log c, (k,).
        root: Of the prior's covariance, (k, rank).
        noise: Standard deviation of log ms.
    """

    def loss(u: Floats) -> float:
        error = (log_ms - log_sum(features, mean + root @ u)[0]) / noise
        return float(error @ error + u @ u)

    u = np.zeros(root.shape[1])
    least = loss(u)
    while True:
        predicted, shares = log_sum(features, mean + root @ u)
        jacobian = shares @ root
        covariance = jacobian @ jacobian.T + noise**2 * np.eye(len(log_ms))
        residual = log_ms - predicted + jacobian @ u  # of the linearised problem, at u = 0
        weights = np.linalg.solve(covariance, residual)
        step = jacobian.T @ weights - u
        shorter = ((loss(v), v) for v in (u + step * 0.5**i for i in range(12)))
        better = next((pair for pair in shorter if pair[0] < least * (1.0 - 1e-6)), None)
        if better is None:
            evidence = -0.5 * (residual @ weights + np.linalg.slogdet(covariance)[1])
            return PriorFit(float(evidence), noise, np.exp(mean + root @ u))
        least, u = better


def log_sum(features: Floats, log_c: Floats) -> tuple[Floats, Floats]:
    """Log ms, (n,), and its derivatives by log c: each term's share of ms, (n, k)."""
    terms = features * np.exp(log_c)
    total = terms.sum(axis=1)
    return np.log(total), terms / total[:, None]
