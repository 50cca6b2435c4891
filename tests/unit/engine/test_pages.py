from hypothesis import given
from hypothesis import strategies as st

from gadfly.engine.pages import PagePool


def test_the_lowest_free_page_comes_first():
    pool = PagePool(3)
    assert [pool.take(), pool.take(), pool.take(), pool.take()] == [0, 1, 2, None]
    pool.release(1)
    pool.release(0)
    assert pool.free == 2
    assert pool.take() == 0


def test_a_page_is_free_when_its_last_holder_is_gone():
    pool = PagePool(1)
    page = pool.take()
    pool.hold(page)
    pool.release(page)
    assert pool.take() is None
    pool.release(page)
    assert pool.take() == page


@given(st.lists(st.tuples(st.sampled_from(["take", "hold", "release"]), st.integers(0, 9))))
def test_no_page_is_lost_or_given_twice(actions):
    pool, held = PagePool(4), []
    for action, which in actions:
        if action == "take":
            page = pool.take()
            assert page == min(set(range(4)) - set(held), default=None)
            held += [page] if page is not None else []
        elif held and action == "hold":
            pool.hold(held[which % len(held)])
            held.append(held[which % len(held)])
        elif held:
            pool.release(held.pop(which % len(held)))
        pool.check()
        assert pool.holders == [held.count(page) for page in range(4)]
