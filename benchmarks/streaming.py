"""A model in less memory than it takes, beside what its disk gives and beside llama.cpp, which maps it.

    python benchmarks/streaming.py MODEL [--shares 0.5,0.25] [--prompt 2000] [--answer 24] [--sequences 1,16]
        [--no-cache] [--threads N] [--kernels K] [--peer] [--results FILE] [--json]

MODEL is a mixture, such as `models.py grok` makes, or a model without experts, whose layers are read. For each share, a
process that promises to stay below that share of the file's size runs in a control group which kills who does not;
nothing of a file is cached before. Answers are drawn at random. The disk is probed on the file that is read just before
and after, by direct reads: that is the packed copy, or the model's own with `--no-cache` and if it was prepared for it.
The peer reads the same file in a group of the same size, mapped and not repacked.

What is found: tokens per second, what `gadfly fit` predicted just before of a mixture on such a disk, and bytes read a
second beside what the probe read; the seconds until a first prompt is read and, of a second one, the bytes read beside
those of experts that have no room; of several sequences together, how many experts were wanted beside what even routing
comes to. It takes the right to make control groups.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Thread
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from gadfly.evaluate.machine import disk_bandwidth
from gadfly.llm import load
from gadfly.model.cost import expected_experts, matrices
from gadfly.settings import available_processors, home
from gadfly.weights.cache import Cache
from gadfly.weights.disk import uncache
from memory_group import limited
from peer import peer_name, program
from result import Result, add_options

PROBE = 2**30  # bytes


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(one(sys.argv[2], sys.argv[3] or None, *map(int, sys.argv[4:]))))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--shares", default="0.5,0.25", help="of the file's size, with commas between")
    parser.add_argument("--prompt", type=int, default=2000)
    parser.add_argument("--answer", type=int, default=24)
    parser.add_argument("--sequences", default="1,16", help="together, with commas between")
    parser.add_argument("--no-cache", action="store_true", help="without a packed copy")
    parser.add_argument("--threads", type=int, default=available_processors())
    parser.add_argument("--kernels", help="an instruction set, for a peer that was built for it")
    parser.add_argument("--peer", action="store_true")
    add_options(parser)
    given = parser.parse_args()
    if not given.no_cache:
        load(given.model, experts="streamed")  # packs it, if that is still to be done
    files = [path for path in (given.model, *given.model.rglob("*")) if path.is_file()]
    found = Result("streaming", peer_name(given.model) if given.peer else None)
    for share in map(float, given.shares.split(",")):
        limit = round(share * sum(path.stat().st_size for path in files))
        for sequences in map(int, given.sequences.split(",")):
            measure(found, given, limit, share, sequences, files)
    found.publish(given)


def measure(
    found: Result, given: argparse.Namespace, limit: int, share: float, sequences: int, files: Sequence[Path]
) -> None:
    packed = Cache(home()).file(given.model)
    copy = [] if given.no_cache or not packed.is_file() else [packed]
    uncache(*copy, *files)
    probed = (copy or files)[0].parent
    before = disk_bandwidth(probed, PROBE)
    said = predicted(given, limit, before or 0.0, sequences) if sequences in (1, 16) else None
    kept = int(not given.no_cache)
    numbers = [limit, given.prompt if sequences == 1 else 16, given.answer, sequences, given.threads, kept]
    ours, peak = in_group(
        limit, [sys.executable, __file__, "--one", str(given.model), given.kernels or "", *map(str, numbers)]
    )
    after = disk_bandwidth(probed, PROBE)
    disk = (before + after) / 2 if before and after else 0.0
    words = {"model": given.model.stem, "memory": f"{share:.0%}, {limit / 1e9:.2f} GB", "sequences": sequences}
    theirs: Mapping[str, Sequence[float]] = {"answer": [], "prompt": []}
    if given.peer and sequences == 1:
        theirs = {name: beside(given, limit, name, files) for name in theirs}
    found.add("tokens/s", [ours["rate"]], theirs["answer"], **words, of="answer")
    if said is not None and ours["of"] == "experts":
        found.add("tokens/s", [said], **words, of="answer, as gadfly fit predicted")
    found.add("GB/s", [ours["bytes"] / ours["seconds"] / 1e9], **words, of="read while answering, all told")
    found.add("GB/s", [disk / 1e9], **words, of="direct reads of the disk")
    found.add("%", [100 * ours["hits"]], **words, of="found in memory")
    found.add("%", [100 * ours["room"]], **words, of=f"{ours['of']} that have room")
    found.add("MB", [peak / 1e6], **words, of="peak of the control group")
    if sequences > 1:
        found.add("%", [100 * ours["shared"]], **words, of="of the sharing of reads that even routing allows")
    else:
        found.add("s", [ours["first"]], theirs["prompt"], **words, of=f"first token after {given.prompt}")
        found.add("%", [100 * ours["prompt_bytes"] / ours["missing_bytes"]], **words, of="read of what has no room")


def predicted(given: argparse.Namespace, limit: int, disk: float, sequences: int) -> float:
    """Tokens per second of all sequences together, in so much memory and with a disk that gives so much."""
    context = min(2048, max(256, given.prompt + given.answer + 1))
    asked = [str(given.model), "--memory", f"{limit / 1e9:.3f}GB", "--context", str(context), "--json"]
    if disk:
        asked += ["--disk", f"{disk / 1e9:.3f}GB"]
    said = subprocess.run([sys.executable, "-m", "gadfly", "fit", *asked], capture_output=True, text=True, check=False)
    streamed = json.loads(said.stdout)["streamed"]  # whether it exits with 0 depends on the room of this disk
    return float(streamed["decode_tokens_per_s" if sequences == 1 else "decode_tokens_per_s_together"])


def beside(given: argparse.Namespace, limit: int, what: str, files: Sequence[Path]) -> list[float]:
    """The peer's tokens per second, or seconds until a prompt is read; nothing if it is killed."""
    uncache(*files)
    counts = ["-p", "0", "-n", str(given.answer)] if what == "answer" else ["-p", str(given.prompt), "-n", "0"]
    options = ["-t", str(given.threads), "-r", "1", "--repack", "0", "--no-warmup", "-o", "json"]
    with limited(limit) as group:
        assert group is not None
        said = group.run([str(program("llama-bench")), "-m", str(given.model), *counts, *options])
    if said.returncode:
        print(f"the peer ended with {said.returncode}: {said.stderr[-200:]}", file=sys.stderr)
        return []
    rate = float(json.loads(said.stdout)[0]["avg_ts"])
    return [rate if what == "answer" else given.prompt / rate]


def in_group(limit: int, command: Sequence[str]) -> tuple[dict[str, Any], int]:
    """What a program prints as JSON, run under a limit of memory, and the most that it took."""
    with limited(limit) as group:
        if group is None:
            raise SystemExit("no control group can be made here")
        ended = group.run(command)
        if ended.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {ended.returncode}: {ended.stderr[-2000:]}")
        return json.loads(ended.stdout.splitlines()[-1]), group.peak


def one(
    model: str, kernels: str | None, memory: int, prompt: int, answer: int, sequences: int, threads: int, kept: int
) -> dict[str, Any]:
    """In a process of its own: read a prompt, then answer, `sequences` times at once."""
    context = min(2048, max(256, prompt + answer + 1))
    llm = load(
        model,
        memory=memory,
        cache=None if kept else False,
        threads=threads,
        context=context,
        contexts=sequences,
        kernels=kernels,
        speculate=False,
    )
    ids = [(100 + 7 * i) % llm.spec.vocab for i in range(prompt // 16 * 16)]  # whole pages, which all share afterwards
    began, start = perf_counter(), llm.reads()
    llm.generate([*ids, 0], max_tokens=1, ignore_eos=True)
    first, read = perf_counter() - began, llm.reads()
    assert start is not None and read is not None
    llm.generate([token + 1 for token in ids], max_tokens=1, ignore_eos=True)
    again = llm.reads()
    llm.generate([*ids, 1], max_tokens=16, ignore_eos=True, seed=1)  # whatever has just been read makes room
    before, began = llm.reads(), perf_counter()
    asked = [
        Thread(target=llm.generate, args=([*ids, i],), kwargs={"max_tokens": answer, "ignore_eos": True, "seed": i})
        for i in range(sequences)
    ]
    for each in asked:
        each.start()
    for each in asked:
        each.join()
    seconds, after = perf_counter() - began, llm.reads()
    assert again is not None and before is not None and after is not None
    spent = after.since(before)
    stacks = [matrix for matrix in matrices(llm.spec) if matrix.experts > 1]
    stacks = stacks or [matrix for matrix in matrices(llm.spec) if matrix.path.startswith("blocks.")]
    room = read.room
    total = read.since(start).bytes / max(1, read.since(start).missing) * sum(matrix.experts for matrix in stacks)
    wanted = spent.found + spent.missing  # matrices, each once for a step of all sequences
    return {
        "first": first,
        "prompt_bytes": again.since(read).bytes,
        "missing_bytes": (1 - room) * total,
        "rate": sequences * answer / seconds,
        "bytes": spent.bytes,
        "seconds": seconds,
        "hits": spent.hits,
        "room": room,
        "of": spent.of,
        "shared": expected_experts(stacks[0].experts, stacks[0].selected, sequences) / (wanted / answer / len(stacks)),
    }


if __name__ == "__main__":
    main()
