from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadfly.engine.pace import CHUNK, FIRST_SLOPE, REACH, REFRESH, Pace


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


def test_what_is_quicker_than_expected_is_believed_at_once():
    """A machine may stop for a while, but no step takes less than it takes."""
    pace = Pace()
    pace.note(1, 1.0)
    pace.note(2, 1000.0)
    assert pace.seconds(20) > 10, "two tokens are taken to be dear, so twenty are"
    pace.note(20, 3.0)
    assert pace.seconds(20) == pytest.approx(3, rel=0.1)


def read(pace, seconds, steps, position=0, writers=4, alone=1.0):
    """Steps with answers, which alone take one second, and as much of a prompt as may come along: (tokens, seconds)."""
    done = []
    for _ in range(steps):
        along = pace.fitting(position, 0.0)
        done.append((along, alone + seconds(along, position)))
        if along:
            pace.note_prompt(writers, along, position, done[-1][1])
        else:
            pace.note(writers, alone)
        position += along
    return done


def test_prompts_have_their_share_of_the_time():
    for share in (0.5, 1.0, 2.0):
        pace = Pace(share)
        pace.note(4, 1.0)
        done = read(pace, lambda along, _: 0.01 * along, 200)
        took = [seconds for _, seconds in done[50:]]
        assert sum(took) / len(took) == pytest.approx(1 + share, rel=0.1)
        assert max(took) < 1 + 1.1 * share


def test_the_price_of_a_token_rises_with_its_position():
    """So that steps stay as long as they were, to the end of a prompt and at the beginning of the next."""
    pace = Pace(1.0)
    pace.note(4, 1.0)

    def seconds(along, position):
        return along * (0.002 + 0.008 * position / REACH)

    for _ in range(2):
        done = read(pace, seconds, 400)
        assert sum(along for along, _ in done) > 3 * REACH
        assert max(took for _, took in done[20:]) < 2.5
    assert pace.price(0) < pace.price(REACH) / 2 < pace.price(4 * REACH) / 5


def test_a_chunk_that_takes_too_long_waits_until_there_was_time_for_it():
    """As a few tokens far from the beginning take nearly as long as one."""
    pace = Pace(1.0)
    pace.note(1, 1.0)
    done = read(pace, lambda along, _: 0.5 * along, 200, position=8 * REACH, writers=1)[50:]
    assert {along for along, _ in done} == {0, CHUNK}
    assert sum(took - 1 for _, took in done) == pytest.approx(len(done), rel=0.25)
    assert max(took for _, took in done) == 1 + 0.5 * CHUNK


def test_nobody_saves_up_for_a_long_pause():
    pace = Pace(1.0)
    for _ in range(500):
        pace.note(4, 1.0)
    for _ in range(50):  # a prompt too short to take it all
        pace.note_prompt(4, 1, 0, 1.01)
    assert pace.fitting(0, 0.0) * pace.price(0) <= 1.1


def test_what_others_take_is_taken_from_the_same_time():
    pace = Pace(1.0)
    pace.note(4, 1.0)
    all_of_it = pace.fitting(0, 0.0)
    assert pace.fitting(0, all_of_it / 3 * pace.price(0)) == pytest.approx(all_of_it * 2 / 3, abs=1)
    assert pace.fitting(0, all_of_it * pace.price(0)) == 0


def test_one_hiccup_changes_prices_little():
    pace = Pace(1.0)
    pace.note(4, 1.0)
    read(pace, lambda along, _: 0.01 * along, 40)
    before = pace.price(0)
    pace.note_prompt(4, 100, 0, 1000.0)
    assert pace.price(0) < 1.4 * before


def test_from_time_to_time_answers_go_alone():
    pace = Pace(1.0)
    pace.note(4, 1.0)
    done = read(pace, lambda along, _: 0.01 * along, 10 * REFRESH)
    assert sum(along == 0 for along, _ in done) >= 9


def test_answers_that_are_thought_to_take_longer_than_all_together_do_not():
    pace = Pace(1.0)
    for _ in range(9):
        pace.note(4, 10.0)
    for _ in range(9):
        pace.note_prompt(4, 8, 0, 2.0)
    assert pace.seconds(4) < 2.5


def test_whoever_wants_no_answers_to_flow_may_say_so():
    pace = Pace(inf)
    assert pace.fitting(0, 0.0) > 10**6
    pace.note(4, 1.0)
    pace.note_prompt(4, 100, 0, 1000.0)
    assert pace.fitting(0, 10.0) > 10**6
