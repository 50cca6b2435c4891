"""How fast adapters are learnt, in how much memory and how well, beside PEFT and TRL, on the same ragged chats.

    python benchmarks/training.py gadfly peft peft gadfly      in this order, a process each
    python benchmarks/training.py gadfly-top peft trl          --peers PYTHON: one that has transformers, peft and trl

    gadfly       all layers
    gadfly-top   the ten layers at the top, above what is computed once (the time for that counts)
    gadfly-bf16  all layers, with precision = "bfloat16"
    peft         transformers with PEFT in a loop as one would write it: float32, chats of like lengths, loss on replies
    trl          TRL's SFTTrainer as it comes, but for float32 and the same loss mask

All see the same tokens, masks and order, from the same base with the same rank, rate and schedule. Tokens per second
are those of all steps, loading not counted; memory is the most that the process ever had; the loss is on chats that are
not learnt (not of TRL, which gets two steps). Everything runs with --threads 2 by default.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from result import Result, add_options

TRAIN, VALID = 32, 16  # chats
EPOCHS, BATCH, RANK, TOP = 3, 16, 16, 10
RATE = 1e-3
OURS = ("gadfly", "gadfly-top", "gadfly-bf16")
PEERS = ("peft", "trl")

SUBJECTS = (
    "the tide",
    "a cello",
    "rust",
    "the number nine",
    "a stapler",
    "fog",
    "the moon",
    "bread",
    "a queue",
    "glass",
)
VERBS = ("keeps", "forgets", "lends", "counts", "mistrusts", "repairs", "announces", "collects", "invents", "returns")
OBJECTS = ("its own shadow", "small debts", "other people's keys", "the last train", "a rumour", "salt", "old maps")
ENDINGS = ("which nobody minds", "as everyone knows", "though not on Sundays", "and calls it progress", "for a fee")


def chats(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Ragged ones of several turns; some 60 % of their tokens are answers."""
    draw = random.Random(seed)

    def said() -> str:
        return f"{draw.choice(SUBJECTS)} {draw.choice(VERBS)} {draw.choice(OBJECTS)}, {draw.choice(ENDINGS)}."

    for _ in range(count):
        messages = []
        for _ in range(draw.choice((1, 1, 2, 3, 4))):
            asked = " and ".join(draw.choice(SUBJECTS) for _ in range(draw.randint(1, 4)))
            answer = " ".join(said().capitalize() for _ in range(draw.randint(1, 7)))
            messages += [{"role": "user", "content": f"What do you know of {asked}? Please be brief about it."}]
            messages += [{"role": "assistant", "content": answer}]
        yield {"messages": messages}


def prepare(folder: Path) -> None:
    """The base as others read it, and ids and masks as they come out of our own preparation."""
    from gadfly.answer import Prompts
    from gadfly.hub.library import Library
    from gadfly.settings import home
    from gadfly.train.data.chats import Lesson, read_lessons
    from gadfly.train.data.sample import sample
    from gadfly.train.packing import epoch_order
    from gadfly.weights.load import open_model

    path = Library(home()).require("smollm2")
    prompts = Prompts.of(open_model(path))
    made: dict[str, Any] = {}
    for name, count, seed in (("train", TRAIN, 1), ("valid", VALID, 2)):
        file = folder / f"{name}.jsonl"
        file.write_text("\n".join(map(json.dumps, chats(count, seed))))
        lessons = [found for found in read_lessons(file) if isinstance(found, Lesson)]
        samples = [sample(one, prompts, 1024) for one in lessons]
        made[name] = [{"ids": one.ids.tolist(), "learnt": one.learnt.tolist()} for one in samples]
    made["order"] = [epoch_order(TRAIN, 0, epoch).tolist() for epoch in range(EPOCHS)]
    made["plan"] = {"epochs": EPOCHS, "batch": BATCH, "rank": RANK, "rate": RATE, "top": TOP}
    (folder / "data.json").write_text(json.dumps(made))
    command = [sys.executable, "-m", "gadfly", "convert", str(path), str(folder / "base"), "--as", "f32"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def ours(folder: Path, threads: int, subject: str) -> dict[str, float]:
    """What a worker of ours finds."""
    import numpy as np
    import torch

    from gadfly.allocator import keep_freed
    from gadfly.hub.library import Library
    from gadfly.ops.torch import Torch
    from gadfly.settings import home
    from gadfly.train.data.sample import Sample
    from gadfly.train.lora import LoraConfig
    from gadfly.train.objective import Supervised
    from gadfly.train.plan import Plan
    from gadfly.train.trainable import with_adapter
    from gadfly.train.training import Training
    from gadfly.weights.load import open_model

    keep_freed()
    torch.set_num_threads(threads)
    data = json.loads((folder / "data.json").read_text())
    train, valid = (
        [Sample(np.array(one["ids"], np.int32), np.array(one["learnt"])) for one in data[name]]
        for name in ("train", "valid")
    )
    top, dtype = TOP if subject == "gadfly-top" else None, torch.bfloat16 if subject == "gadfly-bf16" else torch.float32
    file, backend = open_model(Library(home()).require("smollm2")), Torch(dtype=dtype)
    weights = file.weights.map(backend.place)
    file.release()
    model = with_adapter(file.spec.within(1024), weights, LoraConfig(RANK, 2 * RANK, top), 0, backend)
    training = Training(model, Supervised(train), Plan(EPOCHS, BATCH, RATE))
    before = training.evaluate(Supervised(valid)).loss
    wall, processor, tokens = time.monotonic(), time.process_time(), 0
    if model.lower is not None:
        model.lower.keep(folder / "lower-layers", "", train)
    for _ in range(training.steps):
        tokens += training.advance().tokens
    wall, processor = time.monotonic() - wall, time.process_time() - processor
    after = training.evaluate(Supervised(valid)).loss
    return {"tokens": tokens, "wall": wall, "processor": processor, "before": before, "after": after}


def measure(subject: str, folder: Path, threads: int, peers: str) -> dict[str, float]:
    here = Path(__file__)
    # -P: `kernels` is a page of this folder, and a package that transformers looks for
    script = [sys.executable, str(here)] if subject in OURS else [peers, "-P", str(here.with_name("training_peers.py"))]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
    command = [*script, subject, "--threads", str(threads), "--worker", str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{subject} failed:\n{done.stderr[-3000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(subject, found, file=sys.stderr)
    return found


def versions(peers: str) -> str:
    script = "from importlib.metadata import version as v; print(', '.join(f'{n} {v(n)}' for n in %r))"
    names = ("peft", "trl", "transformers", "torch")
    return subprocess.run([peers, "-c", script % (names,)], capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("subjects", nargs="+", choices=(*OURS, *PEERS))
    parser.add_argument("--peers", default=sys.executable, metavar="PYTHON", help="one that has peft and trl")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    add_options(parser)
    given = parser.parse_args()
    if given.worker:
        from gadfly.hub.memory import peak_memory

        found = ours(given.worker, given.threads, *given.subjects)
        print(json.dumps({**found, "memory": peak_memory()}))
        return
    runs: dict[str, list[dict[str, float]]] = defaultdict(list)
    with TemporaryDirectory() as folder:
        prepare(Path(folder))
        for subject in given.subjects:
            runs[subject].append(measure(subject, Path(folder), given.threads, given.peers))
    publish(runs, given)


def publish(runs: dict[str, list[dict[str, float]]], given: argparse.Namespace) -> None:
    measured: dict[str, Callable[[dict[str, float]], float]] = {
        "tokens/s": lambda run: run["tokens"] / run["wall"],
        "tokens/CPU-s": lambda run: run["tokens"] / run["processor"],
        "MB": lambda run: run["memory"] / 1e6,
        "nats": lambda run: run["after"],
    }
    others = [subject for subject in PEERS if subject in runs]
    found = Result("training", peer=versions(given.peers) if others else None)
    for subject in (name for name in OURS if name in runs):
        for other in others or [""]:
            for unit, value in measured.items():
                own, theirs = [value(run) for run in runs[subject]], [value(run) for run in runs.get(other, [])]
                found.add(unit, own, theirs, recipe=subject, beside=other, threads=given.threads)
    found.publish(given)


if __name__ == "__main__":
    main()
