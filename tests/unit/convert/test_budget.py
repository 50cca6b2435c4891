from itertools import pairwise

import numpy as np
import pytest

from gadfly.convert.budget import choose_for, measure_with
from gadfly.convert.plan import piece_bytes
from gadfly.errors import RequestError
from gadfly.quant.native import Encoder
from gadfly.weight import Plain
from gadfly.weights.export import OutTensor


def tensor(name: str, rows: int = 64, columns: int = 512, scale: float = 1.0, tail: float = 0.0) -> OutTensor:
    random = np.random.default_rng(len(name))
    values = random.normal(size=(rows, columns)) * scale + tail * random.standard_t(2, size=(rows, columns))
    return OutTensor(name, f"blocks.0.{name}", (rows, columns), (Plain(values.astype(np.float32)),))


TENSORS = [tensor("query"), tensor("ffn.gate", 128), tensor("ffn.down", 32, tail=2.0), tensor("ffn.router", 8)]
MEASURE = measure_with(lambda name, rows: Encoder(1).encode(name, rows))


def size_of(formats: dict[str, str]) -> int:
    return sum(piece_bytes(tensor, formats[tensor.name]) for tensor in TENSORS)


LOWEST = size_of(choose_for(10**9, 0, TENSORS, lambda *_: 0.0)[0])


@pytest.mark.parametrize("bits", [3.0, 4.0, 4.7, 6.0, 8.0, 9.0])
def test_the_size_is_kept_and_used(bits: float) -> None:
    wanted = int(sum(tensor.parameters for tensor in TENSORS) * bits / 8) + 8 * 512 * 4
    formats, _ = choose_for(wanted, 100, TENSORS, MEASURE)
    assert size_of(formats) + 100 <= wanted
    assert formats["ffn.router"] == "F32"
    if bits < 8:
        assert size_of(formats) > 0.85 * wanted


def test_more_bytes_never_make_a_larger_error() -> None:
    errors = []
    for size in range(60_000, 140_000, 5_000):
        formats, made = choose_for(size, 0, TENSORS, MEASURE)
        assert set(made) == set(formats)
        errors.append(sum(made.values()))
    assert all(later <= earlier + 1e-9 for earlier, later in pairwise(errors))


def test_bits_go_where_error_falls_fastest() -> None:
    """Of two tensors alike but for the error they make, the one that makes more gets more."""
    pair = [tensor("aa"), tensor("bb")]

    def measure(tensor: OutTensor, name: str) -> float:
        return MEASURE(tensor, name) * (10.0 if tensor.name == "aa" else 1.0)

    formats, _ = choose_for(2 * 64 * 512 * 5 // 8, 0, pair, measure)
    assert piece_bytes(pair[0], formats["aa"]) > piece_bytes(pair[1], formats["bb"])


def test_what_cannot_be_so_small_says_how_small_it_can_be() -> None:
    with pytest.raises(RequestError, match=r"the smallest this model can be is"):
        choose_for(1000, 0, TENSORS, MEASURE)
