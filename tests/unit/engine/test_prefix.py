import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadfly.engine.pages import PagePool
from gadfly.engine.prefix import ROOT, PrefixIndex


@pytest.fixture
def index():
    return PrefixIndex(PagePool(6), page_size=2)


def fill(index, tokens):
    """Do what a sequence does: look up, take, fill, make known. Returns the pages it holds, the last one unfinished."""
    pages = index.lookup(tokens)
    for start in range(len(pages) * 2, len(tokens), 2):
        pages.append(index.take())
        if start + 2 <= len(tokens):
            parent = pages[-2] if start else ROOT
            pages[-1] = index.insert(parent, tokens[start : start + 2], pages[-1])
    return pages


def test_finds_the_longest_prefix_of_a_sequence_that_still_runs(index):
    pages = fill(index, [1, 2, 3, 4, 5])
    assert index.lookup([1, 2, 3, 4, 9, 9]) == pages[:2]
    assert index.lookup([1, 2, 9, 9, 9]) == pages[:1]
    assert index.lookup([9, 2, 3, 4, 5]) == []
    index.check([pages, pages[:2], pages[:1]])


def test_the_last_token_is_never_looked_up(index):
    pages = fill(index, [1, 2, 3, 4])
    assert index.lookup([1, 2, 3, 4]) == pages[:1]
    assert index.lookup([1, 2]) == []


def test_equal_pages_behind_different_ones_are_not_confused(index):
    first = fill(index, [1, 2, 7, 7, 0])
    assert index.lookup([3, 4, 7, 7, 0]) == []
    assert index.lookup([7, 7, 0]) == []
    assert index.lookup([1, 2, 7, 7, 0]) == first[:2]


def test_equal_pages_filled_at_the_same_time_become_one(index):
    mine, other = index.take(), index.take()
    assert index.insert(ROOT, [1, 2], mine) == mine
    assert index.insert(ROOT, [1, 2], other) == mine
    index.check([[mine], [mine]])
    assert index.available == 5


def test_what_was_released_longest_ago_goes_first_and_leaves_before_roots(index):
    old = fill(index, [1, 1, 2, 2, 3, 3])
    new = fill(index, [5, 5, 6, 6])
    index.release(old)
    index.release(new)
    assert index.available == 6
    taken = [index.take() for _ in range(6)]
    assert taken == [5, old[2], old[1], old[0], new[1], new[0]]
    assert index.take() is None
    assert index.lookup([5, 5, 6, 6, 0]) == []


def test_using_a_prefix_again_keeps_it_longer(index):
    first = fill(index, [1, 1, 2, 2])
    second = fill(index, [5, 5, 6, 6])
    index.release(first)
    index.release(second)
    again = index.lookup([1, 1, 0])
    assert again == first[:1]
    index.check([again])
    index.release(again)
    index.check([])
    assert [index.take() for _ in range(6)] == [4, 5, first[1], second[1], second[0], first[0]]


@given(st.lists(st.tuples(st.booleans(), st.lists(st.integers(0, 1), min_size=1, max_size=8), st.integers(0, 9))))
def test_the_books_agree_whatever_happens(actions):
    index, held = PrefixIndex(PagePool(8), page_size=2), []
    for release, tokens, which in actions:
        if release and held:
            index.release(held.pop(which % len(held)))
        elif index.available >= 5:
            held.append(fill(index, tokens))
        index.check(held)
    for pages in held:
        index.release(pages)
    index.check([])
    assert index.available == 8
