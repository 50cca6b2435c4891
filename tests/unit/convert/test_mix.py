import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadfly.convert.mix import LADDER, MIXES, Mix, fitting
from gadfly.errors import RequestError
from gadfly.quant import FORMATS
from gadfly.weight import Plain
from gadfly.weights.export import OutTensor


def tensor(path: str, *shape: int) -> OutTensor:
    return OutTensor("name", path, shape, (Plain(np.zeros((1, 1), np.float32)),))


def chosen(name: str, path: str, columns: int = 512, **options: bool) -> str:
    return Mix.named(name, **options).choose(tensor(path, 8, columns))


def test_vectors_and_routers_stay_float32() -> None:
    for name in MIXES:
        for mix in (Mix.named(name), Mix.named(name, pure=True)):
            assert mix.choose(tensor("blocks.0.ffn_norm", 512)) == "F32"
            assert mix.choose(tensor("blocks.0.ffn.router", 8, 512)) == "F32"
            assert mix.choose(tensor("blocks.0.ffn.moe.router", 8, 512)) == "F32"


def test_more_bits_where_they_matter() -> None:
    assert chosen("q4_k", "blocks.3.ffn.gate") == "Q4_K"
    assert chosen("q4_k", "blocks.3.ffn.down") == "Q5_K"
    assert chosen("q4_k", "blocks.3.mixer.query") == "Q4_K"
    assert chosen("q4_k", "blocks.3.mixer.value") == "Q6_K"
    assert chosen("q4_k", "embedding") == chosen("q4_k", "output") == "Q6_K"
    assert chosen("q4_k", "blocks.3.mixer.query", experts=True) == "Q6_K"
    assert chosen("q4_k", "blocks.3.ffn.moe.down", experts=True) == "Q5_K"
    assert chosen("q4_0", "blocks.3.ffn.down") == "Q4_0"


@pytest.mark.parametrize("name", MIXES)
def test_pure_is_pure(name: str) -> None:
    for path in ("embedding", "output", "blocks.0.mixer.value", "blocks.0.ffn.down"):
        assert chosen(name, path, pure=True) == MIXES[name]


@given(
    name=st.sampled_from(sorted(MIXES)),
    columns=st.integers(1, 2000),
    path=st.sampled_from(["output", "blocks.0.ffn.down"]),
)
def test_whatever_is_chosen_holds_the_rows(name: str, columns: int, path: str) -> None:
    found = chosen(name, path, columns)
    assert columns % FORMATS[found].block_size == 0


def test_a_width_that_blocks_do_not_fill_gets_another_format_of_about_the_size() -> None:
    for name in LADDER:
        if name != "Q8_0":
            other = fitting(name, 576)
            bits = [8 * FORMATS[f].block_bytes / FORMATS[f].block_size for f in (name, other)]
            assert bits[0] <= bits[1] < bits[0] + 2.1
    assert fitting("Q4_K", 33) == "F16"


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(RequestError, match="q4_k"):
        Mix.named("q4_m")
