"""Nobody gets more than a rate allows, nor less."""

from hypothesis import given
from hypothesis import strategies as st

from gadfly.server.rates import Rates


@given(st.integers(1, 1000), st.lists(st.floats(0, 30), min_size=1, max_size=50))
def test_over_any_time_no_more_come_than_a_full_bucket_and_what_flowed_in(per_minute, pauses):
    now = [0.0]
    rates, taken = Rates(lambda: now[0]), 0
    for pause in pauses:
        now[0] += pause
        while (wait := rates.wait("anna", per_minute)) == 0:
            taken += 1
        assert taken <= per_minute * (1 + now[0] / 60) + 1e-6
        assert 0 < wait <= 60 / per_minute


def test_whoever_waits_as_long_as_was_said_may_come():
    now = [0.0]
    rates = Rates(lambda: now[0])
    assert rates.wait("anna", 1) == 0
    now[0] += rates.wait("anna", 1) + 1e-9
    assert rates.wait("anna", 1) == 0
    assert rates.wait("ben", 1) == 0  # has a bucket of his own
