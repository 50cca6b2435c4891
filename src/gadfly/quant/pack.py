"""Codes and whole-number scales into the bytes of blocks, as `gadfly.quant.layouts` draws them: only integers.

Where the numbers come from is the business of `gadfly.quant.search`; `decode` takes the bytes apart again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["PACKERS", "Fit"]

Bytes = NDArray[np.uint8]
Codes = NDArray[np.integer[Any]]
Numbers = NDArray[np.float32]
Record = NDArray[Any]  # (blocks,) of the format's record type


@dataclass(frozen=True)
class Fit:
    """What is stored of some blocks, all of it whole numbers but for `d` and `minimum`, which are float16s already."""

    d: Numbers  # (blocks)
    minimum: Numbers  # (blocks): m or dmin
    scales: Numbers  # (blocks, groups)
    minima: Numbers  # (blocks, groups)
    codes: Bytes  # (blocks, weights)


def _nibbles(fit: Fit, block: Record) -> None:
    block["d"], block["qs"] = fit.d, _planes(fit.codes & 15, 4, 16)


def _five_bits(fit: Fit, block: Record) -> None:
    _nibbles(fit, block)
    block["qh"] = np.packbits(fit.codes >> 4, axis=1, bitorder="little")


def _q4_1(fit: Fit, block: Record) -> None:
    _nibbles(fit, block)
    block["m"] = fit.minimum


def _q5_1(fit: Fit, block: Record) -> None:
    _five_bits(fit, block)
    block["m"] = fit.minimum


def _q8_0(fit: Fit, block: Record) -> None:
    block["d"] = fit.d
    block["qs"] = fit.codes.view(np.int8)


def _q2_k(fit: Fit, block: Record) -> None:
    block["d"], block["dmin"] = fit.d, fit.minimum
    block["scales"] = _bytes(fit.scales) | _bytes(fit.minima) << 4
    block["qs"] = _planes(fit.codes, 2, 32)


def _q3_k(fit: Fit, block: Record) -> None:
    block["d"] = fit.d
    scales = _bytes(fit.scales + 32)
    block["scales"][:, :8] = _planes(scales & 15, 4, 8)
    block["scales"][:, 8:] = _planes(scales >> 4, 2, 4)
    block["qs"], block["hmask"] = _planes(fit.codes & 3, 2, 32), _planes(fit.codes >> 2, 1, 32)


def _q4_k(fit: Fit, block: Record) -> None:
    block["d"], block["dmin"] = fit.d, fit.minimum
    scales, minima = _bytes(fit.scales), _bytes(fit.minima)
    block["scales"][:, :4] = scales[:, :4] | scales[:, 4:] >> 4 << 6
    block["scales"][:, 4:8] = minima[:, :4] | minima[:, 4:] >> 4 << 6
    block["scales"][:, 8:] = scales[:, 4:] & 15 | minima[:, 4:] << 4
    block["qs"] = _planes(fit.codes & 15, 4, 32)


def _q5_k(fit: Fit, block: Record) -> None:
    _q4_k(fit, block)
    block["qh"] = _planes(fit.codes >> 4, 1, 32)


def _q6_k(fit: Fit, block: Record) -> None:
    block["d"], block["scales"] = fit.d, fit.scales
    block["ql"], block["qh"] = _planes(fit.codes & 15, 4, 64), _planes(fit.codes >> 4, 2, 32)


def _iq4_xs(fit: Fit, block: Record) -> None:
    block["d"] = fit.d
    scales = _bytes(fit.scales + 32)
    block["scales_l"] = _planes(scales & 15, 4, 1)
    block["scales_h"] = (scales.astype(np.uint16) >> 4 << np.arange(0, 16, 2, dtype=np.uint16)).sum(axis=1)
    block["qs"] = _planes(fit.codes, 4, 16)


def _planes(codes: Codes, bits: int, group: int) -> Bytes:
    """Pack (blocks, codes of some bits): of every `group` bytes first all the lowest `bits`, then all the next."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)[:, None]
    count, width = codes.shape
    planes = codes.reshape(count, width * bits // (8 * group), 8 // bits, group) << shifts
    packed: Bytes = np.bitwise_or.reduce(planes, axis=2).reshape(count, width * bits // 8)
    return packed


def _bytes(numbers: Numbers) -> Bytes:
    return numbers.astype(np.uint8)


PACKERS: Mapping[str, Callable[[Fit, Record], None]] = MappingProxyType(
    {
        "Q4_0": _nibbles,
        "Q4_1": _q4_1,
        "Q5_0": _five_bits,
        "Q5_1": _q5_1,
        "Q8_0": _q8_0,
        "Q2_K": _q2_k,
        "Q3_K": _q3_k,
        "Q4_K": _q4_k,
        "Q5_K": _q5_k,
        "Q6_K": _q6_k,
        "IQ4_NL": _nibbles,
        "IQ4_XS": _iq4_xs,
    }
)
