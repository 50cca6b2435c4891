import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gadfly.engine.draft import CANDIDATES, LONGEST_DRAFT, LONGEST_MATCH, Drafter, worthwhile

texts = st.lists(st.integers(0, 2), max_size=60) | st.lists(st.integers(0, 1), max_size=120)


def twin(tokens):
    """The guess that a search through the whole text comes to."""
    best, longest, seen = 0, 1, 0
    for place in range(len(tokens) - 1, 1, -1):
        length = 0
        while length < min(place, LONGEST_MATCH) and tokens[place - 1 - length] == tokens[len(tokens) - 1 - length]:
            length += 1
        if length >= 2:
            seen += 1
            if length > longest:
                best, longest = place, length
        if seen == CANDIDATES or longest == LONGEST_MATCH:
            break
    if not best:
        return []
    text = list(tokens)
    while len(text) < len(tokens) + LONGEST_DRAFT:
        text.append(text[len(text) - (len(tokens) - best)])
    return text[len(tokens) :]


@given(texts, st.lists(st.integers(1, 9), max_size=9))
@example([0, 1] * 60, [1, 1])
def test_a_guess_is_what_followed_the_longest_match(tokens, steps):
    """However many tokens came since the last one."""
    drafter, length = Drafter(), 0
    for step in [*steps, len(tokens)]:
        length = min(length + step, len(tokens))
        assert drafter.guess(tokens[:length]) == twin(tokens[:length])


def test_texts_too_short_to_match_have_no_guess():
    for tokens in ([], [1], [1, 1], [1, 2], [1, 2, 3]):
        assert Drafter().guess(tokens) == twin(tokens) == []
    assert Drafter().guess([1, 1, 1]) == [1] * LONGEST_DRAFT


def test_a_longer_match_is_believed_more():
    def first(length):
        drafter = Drafter()
        drafter.guess([9, *range(length), 8, *range(length)])
        return drafter.chance(0)

    chances = [first(length) for length in (2, 3, 5, 8, 16, 32)]
    assert chances == sorted(chances)
    assert 0.2 < chances[0] < 0.5
    assert chances[-1] > 0.8


def test_guesses_that_came_true_are_believed_and_others_are_not():
    believed, doubted = Drafter(), Drafter()
    text = [1, 2, 3] * 30
    for end in range(4, len(text)):
        believed.guess(text[:end])
    assert believed.chance(0) > 0.95
    text = [token for i in range(30) for token in (1, 2, 10 + i)]  # what follows 1 2 is always new
    for end in range(5, len(text), 3):
        assert doubted.guess(text[:end])
    assert doubted.chance(0) < 0.1


def test_only_what_a_guess_led_to_is_judged():
    """After the first error of a guess its other tokens say nothing: one error, not twenty-four."""
    drafter = Drafter()
    drafter.guess([1, 2, *range(10, 40), 1, 2])
    before = drafter.chance(5)
    drafter.guess([1, 2, *range(10, 40), 1, 2, 99, *range(50, 80), 1, 2])
    assert drafter.chance(5) == before


class Believing(Drafter):
    """With chances that a test has chosen."""

    def __init__(self, chances):
        super().__init__()
        self.chance = chances.__getitem__


@given(st.lists(st.floats(0.0, 1.0), max_size=LONGEST_DRAFT), st.integers(1, 20), st.floats(0.0, 2.0), st.floats(0, 2))
def test_the_best_length_is_that_at_which_tokens_come_fastest(chances, tokens, slope, lost):
    def cost(count):
        return 1 + slope * (count - 1)

    def rate(count):
        expected, probability = float(tokens), 1.0
        for chance in chances[:count]:
            probability *= chance
            expected += probability
        return expected / cost(tokens + count)

    drafter = Believing(chances)
    drafter.stake(lost)
    count, expected = worthwhile(drafter, len(chances), tokens, tokens, cost)
    assert expected == pytest.approx(rate(count) * cost(tokens + count))
    if count:
        assert rate(count) > drafter.margin * rate(0)
        assert rate(count) == max(map(rate, range(len(chances) + 1)))
    else:
        assert max(map(rate, range(len(chances) + 1))) <= drafter.margin * rate(0)


def test_losses_make_cautious_and_are_forgotten_slowly():
    drafter, text = Drafter(), [1, 2, 3] * 10
    before = drafter.margin
    drafter.guess(text)
    drafter.stake(1.5)
    lost = drafter.margin
    assert lost > 1.5 * before
    drafter.guess(text + [4] * 20)
    assert before < drafter.margin < lost
    drafter.win()
    drafter.win()
    assert drafter.margin == before


def test_what_is_lost_on_guesses_that_never_come_true_is_bounded():
    """Passages of different lengths come again, and every time something new follows: less than two tokens' time."""
    text, lost, drafter = [], 0.0, Drafter()
    for fresh in range(400):
        text += range(1000, 1000 + fresh * 7 % 12)
        most = len(drafter.guess(text))
        count, _ = worthwhile(drafter, most, 1.0, 1, lambda tokens: 1 + 0.3 * (tokens - 1))
        drafter.stake(0.3 * count)
        lost += 0.3 * count
        text.append(2000 + fresh)
    assert 0 < lost < 2
