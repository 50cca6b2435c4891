"""How far the native backend is from float32 arithmetic on the default model: Kullback-Leibler divergence, in nats.

    python benchmarks/exactness.py [--threads N] [--kernels K] [--results FILE] [--json]

Along the exact continuations of the golden prompts, as the reference backend computes them from the same file: of the
first token after each prompt, of all tokens; and the share of greedy texts that are the exact ones to the last token.
tests/golden holds the first two below what llama.cpp has.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

import gadfly
from gadfly.ops import Floats
from gadfly.settings import available_processors
from result import Result, add_options

PROMPTS = Path(__file__).parents[1] / "tests" / "data" / "smollm2-exact.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=available_processors())
    parser.add_argument("--kernels")
    add_options(parser)
    given = parser.parse_args()
    exact = gadfly.load("smollm2", backend="reference")
    native = gadfly.load("smollm2", threads=given.threads, kernels=given.kernels)
    first: list[float] = []
    along: list[float] = []
    equal: list[bool] = []
    for prompt in json.loads(PROMPTS.read_text())["prompts"]:
        ids, tokens = prompt["prompt_ids"], prompt["tokens"]
        expected, close = (chances(llm.logits(ids + tokens[:-1])[len(ids) - 1 :]) for llm in (exact, native))
        divergence = (np.exp(expected) * (expected - close)).sum(axis=-1)
        first.append(float(divergence[0]))
        along.extend(map(float, divergence))
        text = native.generate(ids, max_tokens=len(tokens), temperature=0.0, ignore_eos=True).ids
        equal.append(list(text) == tokens)
    found = Result("exactness")
    words: dict[str, Any] = {"model": "smollm2", "kernels": native.kernels}
    found.add("nats", [float(np.mean(first))], **words, what="first tokens, mean")
    found.add("nats", [float(np.mean(along))], **words, what="along the texts, mean")
    found.add("%", [100 * float(np.mean(equal))], **words, what="greedy texts that are exact")
    found.publish(given)


def chances(logits: Floats) -> Floats:
    """Logarithms of the softmax of each row, float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


if __name__ == "__main__":
    main()
