from hypothesis import given
from hypothesis import strategies as st

from gadfly.cli.stats import experts_text, reads_text, stats_text
from gadfly.completion import Reads, Usage

USAGE = Usage(180, 150, 42, 0.211, 0.6)


def test_what_an_answer_cost():
    assert stats_text(USAGE) == "42 tokens, 70.0 tokens/s; prompt 180 tokens, 150 of them cached, 0.21 s"
    assert stats_text(Usage(3, 0, 0, 0.0, 0.0)) == "0 tokens; prompt 3 tokens, 0.00 s"


def test_experts_get_a_line_if_there_are_any():
    assert stats_text(USAGE, [[1, 1]]).splitlines()[1].startswith("experts 100% evenly used")
    for dense in (None, [], [[], []], [[0, 0]]):
        assert stats_text(USAGE, dense) == stats_text(USAGE)


def test_what_reading_experts_has_cost():
    reads = Reads(300, 100, 2_000_000_000, 1.0, 2.0, room=0.5, tokens=40, seconds=4.0)
    assert stats_text(USAGE, [[1, 1]], reads).splitlines()[2] == (
        "experts read from disk: 50 MB a token at 2 GB/s, 75% found in memory; computing waited 50% of the time"
    )
    assert reads_text(None) == reads_text(Reads(0, 0, 0, 0.0, 0.0)) == ""
    earlier = Reads(100, 50, 10**9, 0.5, 1.0, room=0.5, tokens=10, seconds=1.0)
    assert reads.since(earlier) == Reads(200, 50, 10**9, 0.5, 1.0, room=0.5, tokens=30, seconds=3.0)


def test_how_evenly_experts_are_used():
    assert experts_text([[], [4, 4, 4, 4], [0, 8, 0, 0], [0, 0]]) == (
        "experts 62% evenly used, by layer █▃; busiest expert 1 of layer 2 with 4.0 times its share, "
        "idlest expert 0 of layer 2 with 0.0 times"
    )


@given(st.lists(st.lists(st.integers(0, 2**40), max_size=8), max_size=64))
def test_whatever_the_counts_it_is_one_line_with_a_bar_for_every_layer_in_use(layers: list[list[int]]):
    text = experts_text(layers)
    used = sum(any(counts) for counts in layers)
    assert sum(character in "▁▂▃▄▅▆▇█" for character in text) == used
    assert "\n" not in text and bool(text) == bool(used)
