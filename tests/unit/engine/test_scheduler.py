from hypothesis import given
from hypothesis import strategies as st

from gadfly.engine.pace import Pace
from gadfly.engine.pages import PagePool
from gadfly.engine.prefix import PrefixIndex
from gadfly.engine.request import Request, Sequence
from gadfly.engine.scheduler import Scheduler


def start(pages, page_size, step_tokens, *prompts):
    scheduler = Scheduler(PrefixIndex(PagePool(pages), page_size), step_tokens, Pace(), speculate=False)
    sequences = [Sequence(Request(tuple(prompt)), 999) for prompt in prompts]
    for sequence in sequences:
        scheduler.add(sequence)
    return scheduler, sequences


def step(scheduler, token=0):
    """Compute what is scheduled; every sequence that has nothing pending gets `token`. Returns (sequence, count)s."""
    chunks = scheduler.schedule()
    for chunk in chunks:
        scheduler.advance(chunk.sequence, chunk.count)
        if not chunk.sequence.pending:
            chunk.sequence.tokens.append(token)
    scheduler.check()
    return [(chunk.sequence, chunk.count) for chunk in chunks]


def test_decodes_come_first_and_prompts_fill_the_rest():
    scheduler, (a, b, c) = start(99, 4, 10, [1] * 4, [2] * 13, [3] * 3)
    assert step(scheduler) == [(a, 4), (b, 6)]
    assert step(scheduler) == [(a, 1), (b, 7), (c, 2)]
    assert step(scheduler) == [(a, 1), (b, 1), (c, 1)]
    assert step(scheduler) == [(a, 1), (b, 1), (c, 1)]


def test_nobody_is_admitted_who_could_not_go_on_every_step():
    scheduler, (a, b, c) = start(99, 4, 2, [1], [2], [3])
    assert step(scheduler) == step(scheduler) == [(a, 1), (b, 1)]
    scheduler.remove(a)
    assert step(scheduler) == [(b, 1), (c, 1)]


def test_the_youngest_gives_way_and_comes_back_before_those_who_wait():
    scheduler, (a, b, c) = start(4, 2, 16, [1] * 2, [2] * 2, [3] * 7)
    assert step(scheduler) == [(a, 2), (b, 2)]
    assert [step(scheduler), step(scheduler)] == [[(a, 1), (b, 1)]] * 2  # each has two pages now, all there are
    assert step(scheduler) == [(a, 1)]
    assert list(scheduler.waiting) == [b, c]
    assert b.tokens == [2, 2, 0, 0, 0]
    scheduler.remove(a)
    assert step(scheduler)[0] == (b, 3), "its first page was still there"


def test_a_prompt_may_need_all_pages_but_not_the_next_page_of_those_who_run():
    scheduler, (a, b) = start(3, 2, 16, [1] * 2, [2] * 4)
    assert step(scheduler) == [(a, 2)], "two pages are free, but one is for the third token"
    scheduler.remove(a)
    scheduler.add(c := Sequence(Request((3,) * 6), 999))
    assert step(scheduler) == [(b, 4)]
    scheduler.remove(b)
    assert step(scheduler) == [(c, 6)]


def test_what_a_preempted_sequence_had_computed_does_not_count_as_cached():
    scheduler, (a, b) = start(4, 2, 16, [1] * 2, [2] * 2)
    for _ in range(4):
        step(scheduler)
    assert list(scheduler.waiting) == [b]
    scheduler.remove(a)
    assert step(scheduler) == [(b, 3)]
    assert b.cached_tokens == 0


def test_a_span_holds_what_a_step_needs_and_no_more():
    scheduler, _ = start(9, 4, 6, range(10))
    (chunk,) = scheduler.schedule()
    first = chunk.span(4)
    scheduler.advance(chunk.sequence, chunk.count)
    (chunk,) = scheduler.schedule()
    second = chunk.span(4)
    assert (first.tokens, first.start) == ([*range(6)], 0)
    assert (list(first.pages), list(first.wanted)) == ([0, 1], [])
    assert (second.tokens, second.start) == ([*range(6, 10)], 6)
    assert (list(second.pages), list(second.wanted)) == ([0, 1, 2], [3])


def test_a_sequence_that_waits_can_be_removed():
    scheduler, (a, b) = start(9, 4, 1, [1], [2])
    step(scheduler)
    scheduler.remove(b)
    scheduler.check()
    scheduler.remove(a)
    assert step(scheduler) == []


prompts = st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=9), min_size=1, max_size=6)


@given(prompts, st.integers(5, 12), st.integers(1, 3), st.integers(1, 12), st.integers(1, 5))
def test_everyone_comes_to_an_end_in_the_order_of_arrival(prompts, pages, page_size, step_tokens, answer):
    longest = max(map(len, prompts)) + answer
    pages = max(pages, -(-longest // page_size))
    scheduler, sequences = start(pages, page_size, step_tokens, *prompts)
    begun, left = [], list(sequences)
    for _ in range(len(sequences) * longest * 3):
        oldest_before = left[0].computed
        work = step(scheduler)
        assert sum(count for _, count in work) <= step_tokens
        assert [sequence for sequence, _ in work] == scheduler.running, "somebody who runs does not advance"
        assert scheduler.running + list(scheduler.waiting) == left, "order of arrival"
        assert all(sequence.pending == 1 for sequence in scheduler.running[:-1])
        assert left[0].computed > oldest_before, "the oldest is set back"
        begun += [sequence for sequence, _ in work if sequence.generated and sequence not in begun]
        for sequence, _ in work:
            if sequence.generated >= answer:
                scheduler.remove(sequence)
                left.remove(sequence)
        if not left:
            break
    assert not left, "somebody starves"
    assert begun == sequences, "somebody was served before his turn"
    scheduler.check()
