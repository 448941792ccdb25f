"""Student's t distribution, for confidence intervals and tests of means: a page of code in place of a dependency on SciPy."""

import math
from functools import cache

__all__ = ["t_critical", "t_p_value"]

_TINY = 1e-300
_EPSILON = 1e-15
_MAX_TERMS = 10_000


def t_p_value(t: float, freedom: float) -> float:
    """Return the probability that Student's t with `freedom` degrees of freedom lies further from 0 than `t`, on either side.

    >>> round(t_p_value(2.0, 10), 6)
    0.073388
    """
    if math.isnan(t) or not freedom > 0:
        return math.nan
    if math.isinf(t):
        return 0.0
    return _incomplete_beta(freedom / (freedom + t * t), t * t / (freedom + t * t), freedom / 2, 0.5)


@cache
def t_critical(freedom: float, level: float = 0.95) -> float:
    """Return the t within which the share `level` of the distribution lies, on both sides together.

    >>> round(t_critical(2), 3), round(t_critical(29), 3)
    (4.303, 2.045)
    """
    if not freedom > 0:
        return math.nan
    low, high = 0.0, 1.0
    while t_p_value(high, freedom) > 1 - level:
        low, high = high, high * 2
    for _ in range(200):
        between = (low + high) / 2
        if between in (low, high):
            break
        low, high = (between, high) if t_p_value(between, freedom) > 1 - level else (low, between)
    return (low + high) / 2


def _incomplete_beta(x: float, rest: float, a: float, b: float) -> float:
    """Return the regularized incomplete beta function at `x`; `rest` is 1 - x without its rounding error."""
    if x <= 0:
        return 0.0
    if rest <= 0:
        return 1.0
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(rest))
    # The continued fraction converges fast on one side of the mean; the other side is its mirror image.
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(x, a, b) / a
    return 1 - front * _fraction(rest, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    """Return the continued fraction of the incomplete beta function, by the method of Lentz."""
    c, d = 1.0, 1.0 / _away_from_zero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _MAX_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1.0 / _away_from_zero(1 + term * d)
            c = _away_from_zero(1 + term / c)
            value *= d * c
        if abs(d * c - 1) < _EPSILON:
            break
    return value


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
