"""Reading long prompts, and writing after them: tokens per second, beside llama.cpp's own llama-bench.

    python benchmarks/long_context.py [--model MODEL] [--threads N] [--kernels K] [--rounds N] [--tokens 512 2048 8192]
                                      [--decode N] [--only prefill|decode] [--peer "FLAGS"]... [--alone] [--once]

The same file on both sides, taking turns A B B A after a round that does not count. --peer may be given several times:
a row for each set of llama-bench's flags, as which are best depends on the length; by default with and without flash
attention. llama-bench has to read the prompt again for every measurement of writing, ours goes back in the cache.
--once is a single round and no other before it, for those who have not got an hour.
"""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter

import gadfly
from gadfly.batch import Batch, Span
from gadfly.llm import STEP_TOKENS
from gadfly.settings import available_processors
from peer import bench, peer_name
from result import Result, add_options, take_turns

PEERS = ("-fa 0", "-fa 1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--threads", type=int, default=available_processors())
    parser.add_argument("--kernels")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, nargs="+", default=[512, 2048, 8192], help="lengths of the prompt")
    parser.add_argument("--decode", type=int, default=32, help="tokens of the answer")
    parser.add_argument("--only", choices=["prefill", "decode"])
    parser.add_argument("--peer", action="append", metavar="FLAGS", help="of llama-bench")
    parser.add_argument("--alone", action="store_true", help="without llama.cpp")
    parser.add_argument("--once", action="store_true", help="one round, which counts")
    add_options(parser)
    given = parser.parse_args()
    llm = gadfly.load(given.model, threads=given.threads, kernels=given.kernels)
    ours = Long(llm, max(given.tokens) + given.decode)
    peers = [] if given.alone else given.peer or PEERS
    found = Result("long context", peer_name(llm.path) if peers else None)
    for tokens in given.tokens:
        for phase in ("prefill", "decode"):
            if given.only not in (phase, None):
                continue
            sides = subjects(phase, ours, llm.path, given, tokens, peers)
            times = {name: [run()] for name, run in sides.items()} if given.once else take_turns(sides, given.rounds)
            words = {"model": llm.path.stem, "threads": given.threads, "kernels": llm.kernels, "positions": tokens}
            for flags in peers or [""]:
                found.add("tokens/s", times["gadfly"], times.get(flags, ()), **words, phase=phase, flags=flags)
    found.publish(given)


def subjects(
    phase: str, ours: "Long", model: Path, given: argparse.Namespace, tokens: int, peers: Sequence[str]
) -> dict[str, Callable[[], float]]:
    if phase == "prefill":
        theirs = partial(bench, model, given.threads, prompt=tokens)
        own = partial(ours.prefill, tokens)
    else:
        theirs = partial(bench, model, given.threads, answer=given.decode)
        own = partial(ours.decode, tokens, given.decode)
    fixed = ["--no-warmup", *([] if phase == "prefill" else ["-d", str(tokens)])]
    return {"gadfly": own, **{flags: partial(theirs, options=[*flags.split(), *fixed]) for flags in peers}}


class Long:
    """Our engine without tokenizer and sampling, in tokens per second. A prompt is read in steps of the usual size."""

    def __init__(self, llm: gadfly.LLM, positions: int) -> None:
        self._executor, self._pages = llm.executor(positions)
        self._vocab = llm.spec.vocab
        self._held = 0  # positions in the cache

    def prefill(self, tokens: int) -> float:
        ids = [(100 + 7 * i) % self._vocab for i in range(tokens)]
        began = perf_counter()
        for first in range(0, tokens, STEP_TOKENS):
            self._step(ids[first : first + STEP_TOKENS], first)
        self._held = tokens
        return tokens / (perf_counter() - began)

    def decode(self, position: int, tokens: int) -> float:
        if self._held < position:
            self.prefill(position)
        began = perf_counter()
        for i in range(tokens):
            self._step([(100 + 11 * i) % self._vocab], position + i)
        return tokens / (perf_counter() - began)

    def _step(self, ids: list[int], position: int) -> None:
        self._executor.step(Batch.of([Span(ids, position, self._pages, [len(ids) - 1])]))


if __name__ == "__main__":
    main()
