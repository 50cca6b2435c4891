"""A fingerprint is made for every answer."""

import gc

from gadfly.server.fingerprint import fingerprint


def test_all_that_a_bit_may_depend_on_changes_it() -> None:
    given = {"digest": "a", "kernels": "avx2", "context": 8, "build": "1"}
    others = ({"digest": "b"}, {"kernels": "portable"}, {"context": 9}, {"build": "2"}, {"adapters": "c"})
    assert len({fingerprint(**{**given, **other}) for other in ({}, *others)}) == 6  # type: ignore[arg-type]


def test_it_leaves_nothing_behind() -> None:
    fingerprint("a", "avx2", 8)
    gc.collect()
    for _ in range(10):
        fingerprint("a", "avx2", 8)
    assert gc.collect() < 10
