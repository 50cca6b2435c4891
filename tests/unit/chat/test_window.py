"""What falls off a conversation, in numbers."""

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from gadfly.chat.window import first_in_sight, first_in_steps


def test_everything_is_shown_while_it_fits():
    assert first_in_sight(5, 0, lambda i: 60 - 10 * i, room=60) == 0


def test_then_half_of_the_room_is_freed_at_once():
    assert first_in_sight(5, 0, lambda i: 60 - 10 * i, room=59) == 3  # the question takes 10: 10 + 49 // 2 = 34


def test_what_is_out_of_sight_stays_so():
    assert first_in_sight(5, 4, lambda i: 60 - 10 * i, room=1000) == 4


def test_a_question_that_has_no_room_by_itself_is_none():
    assert first_in_sight(5, 0, lambda i: 60 - 10 * i, room=9) is None


@given(st.lists(st.integers(0, 50), max_size=30), st.integers(0, 200), st.data())
def test_what_is_shown_fits_and_half_the_room_is_used_where_turns_are_small(
    lengths: list[int], room: int, data: st.DataObject
):
    total = [0, *accumulate(lengths[::-1])][::-1]  # total[i]: of turns from i on
    before = data.draw(st.integers(0, len(lengths)))
    first = first_in_sight(len(lengths), before, lambda i: total[i] + 5, room)
    if first is None:
        assert room < 5
    else:
        assert before <= first <= len(lengths)
        assert total[first] + 5 <= room
        if first > before:
            assert total[first - 1] + 5 > 5 + (room - 5) // 2


@given(st.lists(st.integers(1, 60), min_size=1, max_size=40), st.integers(1, 100))
def test_who_does_not_remember_what_was_shown_shows_the_same_for_long(lengths: list[int], step: int):
    room, firsts = 2 * step + 60, []
    for count in range(1, len(lengths) + 1):
        total = [0, *accumulate(lengths[:count][::-1])][::-1]
        first = first_in_steps(count - 1, lambda i, total=total: total[i], room, step)
        assert 0 <= first < count
        assert total[first] <= room
        firsts.append(first)
    assert firsts == sorted(firsts)
    assert len(set(firsts)) <= 1 + sum(lengths) / step
