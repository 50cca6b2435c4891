"""What an answer cost, in a line; and of experts, how evenly they have been used and what reading them has cost."""

from collections.abc import Sequence

from gadfly.completion import Reads, Usage
from gadfly.hub.progress import size_text

__all__ = ["experts_text", "reads_text", "stats_text"]

BARS = "▁▂▃▄▅▆▇█"


def stats_text(usage: Usage, experts: Sequence[Sequence[int]] | None = None, reads: Reads | None = None) -> str:
    """ "42 tokens, 61.3 tokens/s; prompt 180 tokens, 150 of them cached, 0.21 s", and lines about experts if any."""
    answer = f"{usage.completion_tokens} tokens"
    if usage.decode_seconds > 0:
        answer += f", {usage.completion_tokens / usage.decode_seconds:.1f} tokens/s"
    prompt = f"prompt {usage.prompt_tokens} tokens"
    if usage.cached_tokens:
        prompt += f", {usage.cached_tokens} of them cached"
    line = f"{answer}; {prompt}, {usage.prefill_seconds:.2f} s"
    return "\n".join(filter(None, (line, experts_text(experts), reads_text(reads))))


def reads_text(reads: Reads | None) -> str:
    """What experts or layers on disk have cost, all answers together; nothing if there are none."""
    if reads is None or not reads.tokens or not reads.seconds:
        return ""
    return (
        f"{reads.of} read from disk: {size_text(reads.bytes // reads.tokens)} a token at "
        f"{size_text(int(reads.rate))}/s, {reads.hits:.0%} found in memory; computing waited "
        f"{reads.waiting / reads.seconds:.0%} of the time"
    )


def experts_text(layers: Sequence[Sequence[int]] | None) -> str:
    """How the tokens so far were divided among experts, by layer; nothing if there are none.

    A layer is used as evenly as the average expert is busy beside its busiest, and its bar is as high. A share is the
    average of the expert's layer.
    """
    loads = {
        (layer, expert): count * len(counts) / sum(counts)
        for layer, counts in enumerate(layers or ())
        if sum(counts)
        for expert, count in enumerate(counts)
    }
    if not layers or not loads:
        return ""
    evenness = [sum(counts) / len(counts) / max(counts) for counts in layers if sum(counts)]
    busiest, idlest = max(loads, key=loads.__getitem__), min(loads, key=loads.__getitem__)
    bars = "".join(BARS[round(even * (len(BARS) - 1))] for even in evenness)
    return (
        f"experts {sum(evenness) / len(evenness):.0%} evenly used, by layer {bars}; busiest {_named(busiest)} with "
        f"{loads[busiest]:.1f} times its share, idlest {_named(idlest)} with {loads[idlest]:.1f} times"
    )


def _named(place: tuple[int, int]) -> str:
    layer, expert = place
    return f"expert {expert} of layer {layer}"
