import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadfly.engine.pace import FIRST_SLOPE, REFRESH, Pace


def test_before_anything_is_known_more_tokens_are_assumed_to_be_cheap():
    pace = Pace()
    assert (pace.cost(1), pace.cost(11), pace.seconds(1)) == (1, 1 + 10 * FIRST_SLOPE, 0)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=10, unique=True), st.floats(0.02, 0.8), st.floats(1e-4, 10))
def test_what_steps_cost_is_learned(sizes, slope, unit):
    pace = Pace()
    for _ in range(60):
        for tokens in (1, *sizes):
            pace.note(tokens, unit * (1 + slope * (tokens - 1)))
    assert pace.seconds(1) == pytest.approx(unit, rel=0.05)
    for tokens in range(1, 40) if max(sizes) > 1 else [1]:
        assert pace.cost(tokens) == pytest.approx(1 + slope * (tokens - 1), rel=0.05)


def test_it_follows_a_machine_that_slows_down_and_keeps_what_several_tokens_cost():
    pace = Pace()
    for _ in range(20):
        pace.note(1, 1.0)
        pace.note(8, 2.0)
    for _ in range(20):
        pace.note(1, 3.0)
    assert pace.seconds(8) == pytest.approx(6, rel=0.01)
    for _ in range(20):
        pace.note(8, 2.0)
    assert pace.seconds(8) == pytest.approx(2, rel=0.01)


def test_one_wild_measurement_changes_little():
    pace = Pace()
    for _ in range(20):
        pace.note(1, 1.0)
        pace.note(8, 2.0)
    pace.note(8, 1000.0)
    assert pace.cost(8) <= 2.21
    assert pace.seconds(1) <= 1.31
    for _ in range(20):
        pace.note(1, 1.0)
        pace.note(8, 2.0)
    assert pace.cost(8) == pytest.approx(2, rel=0.05)


def test_costs_between_and_beyond_those_known_lie_on_lines():
    pace = Pace()
    pace.note(1, 1.0)
    pace.note(5, 2.0)
    pace.note(9, 2.4)
    known = pace.cost(5), pace.cost(9)
    assert pace.cost(3) == pytest.approx((1 + known[0]) / 2)
    assert pace.cost(7) == pytest.approx(sum(known) / 2)
    assert pace.cost(17) == pytest.approx(1 + 2 * (known[1] - 1))


def test_prompts_come_along_as_far_as_they_take_as_long_as_the_answers():
    pace = Pace(share=1.0)
    pace.note(4, 1.0)
    for _ in range(20):
        along = pace.prompt_tokens
        pace.note_prompt(4, along, 1.0 + 0.05 * along)
    assert pace.prompt_tokens == 20
    for _ in range(11):  # and as the text that is attended to grows, fewer
        along = pace.prompt_tokens
        pace.note_prompt(4, along, 1.0 + 0.5 * along)
    assert pace.prompt_tokens == 2


def test_a_chunk_that_was_short_says_nothing_about_a_long_one():
    pace = Pace()
    pace.note(1, 1.0)
    along = pace.prompt_tokens
    pace.note_prompt(1, 1, 1.0)
    assert pace.prompt_tokens == along
    pace.note_prompt(1, 1, 9.0)
    assert pace.prompt_tokens < along


def test_from_time_to_time_answers_go_alone():
    pace = Pace()
    pace.note(1, 1.0)
    steps = 0
    while pace.prompt_tokens:
        pace.note_prompt(1, pace.prompt_tokens, 2.0)
        steps += 1
    assert steps == REFRESH
    pace.note(1, 1.0)
    assert pace.prompt_tokens


def test_at_least_one_token_comes_along():
    pace = Pace()
    pace.note(1, 1.0)
    for _ in range(30):
        pace.note_prompt(1, 1, 1000.0)
    assert pace.prompt_tokens == 1
