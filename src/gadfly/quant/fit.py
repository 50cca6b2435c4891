"""The scale, or scale and minimum, that lose least of groups of weights, in numpy: the slow twin of native/kernels/.

For given codes the best scale and minimum are known (weighted least squares); for a given scale and minimum the best
codes are (rounding). A few guesses are tried and the best is polished by doing both in turn. In blocks of 256 the
groups' scales become whole numbers: each group tries the numbers next to its own, and what counts is the error of
what will be stored.

Bit for bit what the kernels compute, so the order of float operations below matters: sums run over a group's weights
one by one, and over groups as lanes of eight are summed. Which format is fitted how: `gadfly.quant.search`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gadfly.quant.layouts import IQ4_VALUES
from gadfly.quant.pack import Fit

__all__ = ["Affine", "Iq4", "Scaled", "Uniform"]

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

POLISH = 1  # rounds of fitting and rounding in turn, after the guesses
REFINEMENTS = 2  # of the whole numbers in blocks of 256; d is fitted between them
SHIFTS = (0, -1, 1)  # from a group's own number to those it tries
SOLID = np.float32(1e-4)  # codes that are all but equal do not determine two numbers


@dataclass(frozen=True)
class Uniform:
    """Levels at equal distances: whole numbers from low to high. Codes count from `zero`, by default from low."""

    low: float
    high: float
    zero: float | None = None

    def nearest(self, x: Floats) -> Floats:
        levels: Floats = np.rint(x.clip(np.float32(self.low), np.float32(self.high)))
        return levels

    def codes(self, x: Floats) -> Bytes:
        return (self.nearest(x) - (self.low if self.zero is None else self.zero)).astype(np.int8).view(np.uint8)


class Iq4:
    """The levels of IQ4_NL and IQ4_XS. Bins of half a unit tell which of them is nearest."""

    def codes(self, x: Floats) -> Bytes:
        bins = np.rint(2 * x.clip(IQ4_VALUES[0], IQ4_VALUES[-1]) - np.float32(0.5))
        away = np.abs(bins[..., None] / 2 + np.float32(0.25) - IQ4_VALUES)
        nearest: Bytes = away.argmin(axis=-1).astype(np.uint8)
        return nearest

    def nearest(self, x: Floats) -> Floats:
        return IQ4_VALUES[self.codes(x)]


@dataclass(frozen=True)
class Scaled:
    """x ≈ scale · level in groups of n. Guesses say how many units the weight farthest from zero becomes."""

    n: int
    levels: Uniform | Iq4
    guesses: Floats
    numbers: Uniform | None = None  # the whole numbers that scales of blocks of 256 may be

    def fit(self, x: Floats, w: Floats) -> Fit:
        shape = x.shape
        x, w = (part.reshape(shape[0], shape[1] // self.n, self.n) for part in (x, w))  # (blocks, groups, n), as below
        scale = self.best_scale(x, w)
        if self.numbers is None:
            d, whole = _half(scale[:, 0]), np.ones_like(scale)
        else:
            d, whole = self.whole_scales(x, w, scale)
        codes = self.levels.codes(x * _inverse(d[:, None] * whole)[..., None]).reshape(shape)
        return Fit(d, np.zeros_like(d), whole, np.zeros_like(whole), codes)

    def best_scale(self, x: Floats, w: Floats) -> Floats:
        best = gain = np.zeros(x.shape[:2], np.float32)
        per_peak = _inverse(_farthest_from_zero(x))
        for guess in range(len(self.guesses) + POLISH):
            per_unit = per_peak * self.guesses[guess] if guess < len(self.guesses) else _inverse(best)
            qq, xq = self.moments(x, w, per_unit)
            scale = xq / qq
            better = gain < scale * xq
            best, gain = np.where(better, scale, best), np.where(better, scale * xq, gain)
        return best

    def moments(self, x: Floats, w: Floats, per_unit: Floats) -> tuple[Floats, Floats]:
        level = self.levels.nearest(x * per_unit[..., None])
        return _total(w * level * level), _total(w * level * x)

    def whole_scales(self, x: Floats, w: Floats, scale: Floats) -> tuple[Floats, Floats]:
        assert self.numbers is not None
        d = _half(_farthest_from_zero(scale) / np.float32(self.numbers.low))
        whole = self.numbers.nearest(scale * _inverse(d)[:, None])
        for refinement in range(REFINEMENTS):
            if refinement:
                qq, xq = self.moments(x, w, _inverse(d[:, None] * whole))
                ss, xs = _across(whole * whole * qq), _across(whole * xq)
                d = np.where(ss > 0, _half(xs / ss), d)
            around, error = whole, np.full_like(whole, np.inf)
            for shift in SHIFTS:
                tried = self.numbers.nearest(around + np.float32(shift))
                step = d[:, None] * tried
                lost = x - step[..., None] * self.levels.nearest(x * _inverse(step)[..., None])
                found = _total(w * lost * lost)
                whole, error = np.where(found < error, tried, whole), np.minimum(found, error)
        return d, whole


@dataclass(frozen=True)
class Affine:
    """x ≈ scale · code − minimum in groups of n. Guesses say how many units the range of a group becomes."""

    n: int
    levels: Uniform
    guesses: Floats
    numbers: Uniform | None = None  # the whole numbers that scales and minima of blocks of 256 may be

    def fit(self, x: Floats, w: Floats) -> Fit:
        shape = x.shape
        x, w = (part.reshape(shape[0], shape[1] // self.n, self.n) for part in (x, w))  # (blocks, groups, n), as below
        if self.numbers is None:
            scale, minimum = self.best_line(x, w, np.float32(-np.inf))
            d, m = _half(scale), _half(0 - minimum)
            codes = self.levels.codes((x - m[..., None]) * _inverse(d)[..., None])
            return Fit(d[:, 0], m[:, 0], d, m, codes.reshape(shape))
        scale, minimum = self.best_line(x, w, np.float32(0))
        d, dmin, scale, minimum = self.whole_line(x, w, self.numbers, scale, minimum)
        raised = x + (dmin[:, None] * minimum)[..., None]
        codes = self.levels.codes(raised * _inverse(d[:, None] * scale)[..., None])
        return Fit(d, dmin, scale, minimum, codes.reshape(shape))

    def best_line(self, x: Floats, w: Floats, floor: np.float32) -> tuple[Floats, Floats]:
        sum_w, sum_wx = _total(w), _total(w * x)
        best_scale, best_minimum = np.zeros_like(sum_w), np.maximum(0 - sum_wx / sum_w, floor)
        best_gain = 0 - best_minimum * sum_wx
        low = np.minimum(x.min(axis=2), 0 - floor)
        per_range = _inverse(x.max(axis=2) - low)
        for guess in range(len(self.guesses) + POLISH):
            if guess < len(self.guesses):
                q, qq, xq = self.moments(x, w, per_range * self.guesses[guess], 0 - low)
            else:
                q, qq, xq = self.moments(x, w, _inverse(best_scale), best_minimum)
            det, alone = sum_w * qq - q * q, xq / qq  # alone: the best scale without a minimum
            scale, minimum = (sum_w * xq - sum_wx * q) / det, (q * xq - qq * sum_wx) / det
            both = (SOLID * (sum_w * qq) < det) & ~(minimum < floor)
            scale, minimum = np.where(both, scale, alone), np.where(both, minimum, 0)
            gain = np.where(scale > 0, scale * xq - minimum * sum_wx, 0)
            better = best_gain < gain
            best_scale, best_minimum = np.where(better, scale, best_scale), np.where(better, minimum, best_minimum)
            best_gain = np.where(better, gain, best_gain)
        return best_scale, best_minimum

    def moments(self, x: Floats, w: Floats, per_unit: Floats, minimum: Floats) -> tuple[Floats, Floats, Floats]:
        code = self.levels.nearest((x + minimum[..., None]) * per_unit[..., None])
        return _total(w * code), _total(w * code * code), _total(w * code * x)

    def whole_line(
        self, x: Floats, w: Floats, numbers: Uniform, scale: Floats, minimum: Floats
    ) -> tuple[Floats, Floats, Floats, Floats]:
        d, dmin = (_half(part.max(axis=1) / np.float32(numbers.high)) for part in (scale, minimum))
        scale = numbers.nearest(scale * _inverse(d)[:, None])
        minimum = numbers.nearest(minimum * _inverse(dmin)[:, None])
        sum_w, sum_wx = _total(w), _total(w * x)
        for refinement in range(REFINEMENTS):
            if refinement:
                q, qq, xq = self.moments(x, w, _inverse(d[:, None] * scale), dmin[:, None] * minimum)
                ss, sm = _across(scale * scale * qq), _across(scale * minimum * q)
                mm, xm = _across(minimum * minimum * sum_w), _across(minimum * sum_wx)
                xs = _across(scale * xq)
                det = ss * mm - sm * sm
                better_d, better_dmin = _half((mm * xs - sm * xm) / det), _half((sm * xs - ss * xm) / det)
                better = (det > SOLID * (ss * mm)) & (better_d > 0) & (better_dmin > 0)
                d, dmin = np.where(better, better_d, d), np.where(better, better_dmin, dmin)
            before, around, error = dmin[:, None] * minimum, scale, np.full_like(scale, np.inf)
            for shift in SHIFTS:
                tried = numbers.nearest(around + np.float32(shift))
                step, per_step = d[:, None] * tried, _inverse(d[:, None] * tried)[..., None]
                q = _total(w * self.levels.nearest((x + before[..., None]) * per_step))
                suits = numbers.nearest((step * q - sum_wx) / sum_w * _inverse(dmin)[:, None])
                raised = x + (dmin[:, None] * suits)[..., None]
                lost = raised - step[..., None] * self.levels.nearest(raised * per_step)
                found = _total(w * lost * lost)
                better = found < error
                scale, minimum = np.where(better, tried, scale), np.where(better, suits, minimum)
                error = np.minimum(found, error)
        return d, dmin, scale, minimum


def _total(terms: Floats) -> Floats:
    """Sums over the last axis, one term after the other."""
    total = np.zeros(terms.shape[:-1], np.float32)
    for i in range(terms.shape[-1]):
        total += terms[..., i]
    return total


def _across(groups: Floats) -> Floats:
    """Sums (blocks, groups) over groups as vectors of eight lanes are summed."""
    a, b, c, d, e, f, g, h = np.moveaxis(groups.reshape(len(groups), groups.shape[1] // 8, 8), 2, 0)
    return _total(((a + e) + (c + g)) + ((b + f) + (d + h)))


def _farthest_from_zero(x: Floats) -> Floats:
    """Along the last axis; the first of equals, with its sign."""
    return np.take_along_axis(x, np.abs(x).argmax(axis=-1, keepdims=True), axis=-1)[..., 0]


def _inverse(x: Floats) -> Floats:
    """1 / x, and 0 where that would be too large to compute with: what is so small encodes as zero."""
    return np.where(np.float32(1e-30) < np.abs(x), 1 / x, np.float32(0))


def _half(x: NDArray[Any]) -> Floats:
    """As float16 holds it."""
    return x.astype(np.float16).astype(np.float32)
