"""A few minutes of benchmarks/soak.py: mixed traffic, after which nothing is stuck, lost or left over."""

import pytest

from gadfly.hub.library import Library
from gadfly.settings import home
from soak import MODEL, complaints, prepared, served, soak


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_nothing_is_lost_under_mixed_traffic() -> None:
    if Library(home()).resolve(MODEL) is None:
        pytest.skip("the default model is not here; run `make model`")
    with prepared() as place, served(place) as (url, pid):
        samples = list(soak(url, pid, minutes=4, clients=6, pause=30))
        log = (place / "log").read_text(errors="replace")
    assert sum(sample.visits.total() for sample in samples) > 100
    assert complaints(samples, growth=0.1) == []  # in so little time caches have yet to fill
    assert "Traceback" not in log
