from math import inf

from hypothesis import given
from hypothesis import strategies as st

from gadfly.engine.pace import Pace
from gadfly.engine.pages import PagePool
from gadfly.engine.prefix import PrefixIndex
from gadfly.engine.request import Request, Sequence
from gadfly.engine.scheduler import Scheduler


def start(pages, page_size, step_tokens, *prompts):
    scheduler = Scheduler(PrefixIndex(PagePool(pages), page_size), step_tokens, Pace(inf), speculate=False)
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


def test_who_reads_the_same_prompt_waits_for_its_pages():
    """Three read it at once: it is computed once, but for the last page of each, which nobody shares."""
    scheduler, (a, b, c) = start(99, 4, 6, [1] * 14, [1] * 14, [1] * 14)
    assert step(scheduler) == [(a, 6)]  # so a page is full, and half of the next
    assert step(scheduler) == [(a, 6)]
    assert step(scheduler) == [(a, 2), (b, 2), (c, 2)]
    assert (a.cached_tokens, b.cached_tokens, c.cached_tokens) == (0, 12, 12)
    assert a.pages[:3] == b.pages[:3] == c.pages[:3]
    assert step(scheduler) == [(a, 1), (b, 1), (c, 1)]


def test_who_parts_from_another_prompt_goes_on_alone():
    scheduler, (a, b) = start(99, 4, 99, [1] * 14, [1] * 9 + [2] * 5)
    assert step(scheduler) == [(a, 14)]
    assert step(scheduler) == [(a, 1), (b, 6)]
    assert b.cached_tokens == 8


def test_who_waits_for_pages_of_somebody_who_leaves_computes_them():
    scheduler, (a, b) = start(99, 4, 6, [1] * 14, [1] * 14)
    assert step(scheduler) == [(a, 6)]
    scheduler.remove(a)
    assert step(scheduler) == [(b, 6)]
    assert b.cached_tokens == 4


def test_prompts_take_turns_by_client():
    """One with three long prompts, one who comes later with a short one."""
    scheduler, _ = start(99, 4, 10)
    many = [Sequence(Request((i,) * 25, client="many"), 999) for i in range(3)]
    for sequence in many:
        scheduler.add(sequence)
    assert step(scheduler) == [(many[0], 10)]
    few = Sequence(Request((9,) * 18, client="few"), 999)
    scheduler.add(few)
    assert [*scheduler.waiting] == [many[1], few, many[2]]
    assert step(scheduler) == [(many[0], 10)], "who comes has no right to more than the others had"
    assert step(scheduler) == [(few, 10)]
    assert step(scheduler) == [(many[0], 5), (few, 5)], "both were in the middle of a prompt"
    assert step(scheduler) == [(many[0], 1), (few, 3), (many[1], 6)]


def test_a_short_prompt_does_not_wait_for_a_long_one_of_another_client():
    scheduler, _ = start(999, 4, 8)
    long = Sequence(Request((1,) * 800, client="one"), 999)
    scheduler.add(long)
    for _ in range(50):
        step(scheduler)
    short = Sequence(Request((2,) * 8, client="other"), 999)
    scheduler.add(short)
    step(scheduler)
    step(scheduler)
    assert short.generated >= 1
    assert long.pending > 300


def test_answers_come_first_and_prompts_as_the_pace_allows():
    pace = Pace(1.0)
    scheduler = Scheduler(PrefixIndex(PagePool(99), 4), 64, pace, speculate=False)
    a, b, c = (Sequence(Request((i,) * 100), 999) for i in range(3))
    scheduler.add(a)
    assert step(scheduler) == [(a, 64)], "nobody writes"
    assert step(scheduler) == [(a, 36)]
    scheduler.add(b)
    scheduler.add(c)
    assert step(scheduler) == [(a, 1)], "it is not known yet what that takes"
    pace.note(1, 1.0)
    most = pace.fitting(0, 0.0)
    assert most == 10
    assert step(scheduler) == [(a, 1), (b, most)]
    pace.note_prompt(1, most, 0, 2.0)
    scheduler.remove(b)
    pace.note(1, 1.0)
    assert step(scheduler) == [(a, 1), (c, pace.fitting(0, 0.0))]


prompts = st.lists(
    st.tuples(st.lists(st.integers(0, 1), min_size=1, max_size=9), st.sampled_from("abc")), min_size=1, max_size=6
)


@given(prompts, st.integers(5, 12), st.integers(1, 3), st.integers(1, 12), st.integers(1, 5))
def test_everyone_comes_to_an_end(prompts, pages, page_size, step_tokens, answer):
    """Whatever runs out: nobody who writes misses a step, and the oldest is never set back."""
    longest = max(len(prompt) for prompt, _ in prompts) + answer
    pages = max(pages, -(-longest // page_size))
    scheduler, _ = start(pages, page_size, step_tokens)
    left = [Sequence(Request(tuple(prompt), client=client), 999) for prompt, client in prompts]
    for sequence in left:
        scheduler.add(sequence)
    for _ in range(len(left) * longest * 3):
        oldest, writers = scheduler.running[:1], [sequence for sequence in scheduler.running if sequence.decodes]
        work = step(scheduler)
        assert work, "nobody advances"
        assert sum(count for _, count in work) <= step_tokens
        assert scheduler.running[:1] == oldest or not oldest, "the oldest is set back"
        served = {sequence for sequence, _ in work}
        assert all(sequence in served or sequence in scheduler.waiting for sequence in writers), (
            "a writer misses a step"
        )
        assert set(scheduler.running) | set(scheduler.waiting) == set(left)
        for sequence, _ in work:
            if sequence.generated >= answer:
                scheduler.remove(sequence)
                left.remove(sequence)
        scheduler.check()
        if not left:
            break
    assert not left, "somebody starves"
    assert scheduler.idle
