# SPDX-License-Identifier: LGPL-2.1-or-later
"""Turns that two things take, compared: the median of the ratios of neighbours, with an interval that
assumes nothing of how they are spread (the sign test: Conover, Practical Nonparametric Statistics, 3.2).
"""
import math
import statistics

CONFIDENCE = 0.95


def outside(count):
    """How many of the sorted values at each end lie outside the interval of their median, or None:
    too few values."""
    chance, k = 0.0, 0
    while True:
        chance += math.comb(count, k) / 2 ** count
        if 2 * chance > 1 - CONFIDENCE:
            return k - 1 if k else None
        k += 1


def ratio(base, other):
    """{"ratio", "low", "high", "pairs"} of other[i] / base[i]; low and high are null with less than six."""
    ratios = sorted(o / b for b, o in zip(base, other, strict=True))
    skip = outside(len(ratios))
    return {"ratio": statistics.median(ratios), "pairs": len(ratios),
            "low": None if skip is None else ratios[skip],
            "high": None if skip is None else ratios[-1 - skip]}


def text(r):
    if r["low"] is None:
        return f"x{r['ratio']:.3f} ({r['pairs']} pairs: too few for an interval)"
    return f"x{r['ratio']:.3f} ({r['low']:.3f} to {r['high']:.3f}, 95 % of the median of {r['pairs']} pairs)"
