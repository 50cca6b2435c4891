from collections import Counter
from dataclasses import replace

import pytest

from soak import Sample, complaints

GOOD = Sample(Counter(chat=5), (), 0, 0, 100 << 20, 16, 12)


def test_what_stays_as_it_was_is_no_complaint():
    warming = replace(GOOD, memory=60 << 20, threads=13)
    assert complaints([warming, *[GOOD] * 3]) == []


@pytest.mark.parametrize(
    ("last", "said"),
    [
        ({"faults": ("AssertionError: 500",)}, "AssertionError: 500"),
        ({"running": 2}, "part 3: 2 requests are stuck"),
        ({"pages_held": 7}, "part 3: 7 pages are lost"),
        ({"memory": 103 << 20}, "memory went from 100 to 103 MiB"),
        ({"files": 18}, "2 files more than at the beginning are open"),
        ({"threads": 13}, "1 threads more than at the beginning are open"),
    ],
)
def test_what_is_left_over_is_told(last, said):
    assert complaints([*[GOOD] * 3, replace(GOOD, **last)]) == [said]
