"""How fast a mixture of experts is, beside llama.cpp: a random model in the shape of Grok-1, all in one format.

    python benchmarks/mixture.py make FILE.gguf [FORMAT]      9 layers of 8 experts, 2 for each token: 2.9 B parameters
    python benchmarks/mixture.py FILE.gguf [--threads 1,2] [--kernels K] [--rounds N] [--results FILE]

`make` writes the weights in int8 first (3 GB, removed), and takes some minutes. Measuring takes turns with
llama-cpp-python, A B B A, neither side with tokenizer and sampling: prefill of a prompt in one step, and decoding after
it. LLAMA_CPP_LIB_PATH chooses another build of the peer; give both the same instructions.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from gadfly.evaluate.llama_cpp import LlamaCpp
from gadfly.evaluate.speed import Gadfly, measure
from gadfly.llm import load
from peer import instructions
from result import Result, add_options

SHAPE = {"layers": 9, "dim": 1536, "heads": 12, "kv-heads": 2, "head-dim": 128, "hidden": 8192, "vocab": 32768}
PROMPT, ANSWER = 256, 24  # tokens


def main() -> None:
    if sys.argv[1:2] == ["make"]:
        make(Path(sys.argv[2]).absolute(), sys.argv[3] if len(sys.argv) > 3 else "q4_0")
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--kernels")
    parser.add_argument("--rounds", type=int, default=5)
    add_options(parser)
    given = parser.parse_args()
    found = Result("mixture")
    for threads in map(int, given.threads.split(",")):
        rows(found, given.model, threads, given)
    found.publish(given)


def make(target: Path, name: str) -> None:
    release = target.with_suffix("")
    shape = [f"--{key}={value}" for key, value in SHAPE.items()]
    gadfly = [sys.executable, "-m", "gadfly"]
    subprocess.run([*gadfly, "new", str(release), "--arch", "grok1", "--release", *shape], check=True)
    subprocess.run([*gadfly, "convert", str(release), str(target), "--as", name, "--pure"], check=True)
    shutil.rmtree(release)


def rows(found: Result, model: Path, threads: int, given: argparse.Namespace) -> None:
    llm = load(model, threads=threads, kernels=given.kernels)
    with LlamaCpp(model, threads, PROMPT + ANSWER) as peer:
        found.peer = f"llama.cpp (llama-cpp-python {peer.version}), {instructions(peer.info)}"
        ours, theirs = measure([Gadfly(llm, PROMPT + ANSWER), peer], given.rounds, PROMPT, ANSWER)
    what = {"model": model.stem, "threads": threads, "kernels": llm.kernels}
    found.add("tokens/s", ours.prefill_rounds, theirs.prefill_rounds, of=f"prefill of {PROMPT}", **what)
    found.add("tokens/s", ours.decode_rounds, theirs.decode_rounds, of="decode", **what)


if __name__ == "__main__":
    main()
