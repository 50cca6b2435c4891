"""How long the next mask of an answer in JSON takes, at the vocabulary of a real tokenizer.

    python benchmarks/masks.py TOKENIZER [--answers N] [--results FILE] [--json]

TOKENIZER is anything that `gadfly.Tokenizer.from_file` reads: Grok-1's has 131,072 tokens. Masks are what the thread
beside the forward pass works out between one token and the next, the table of booleans for the sampler included. What
the engine's own thread does, it does at every token: say what was drawn (`advance`) and cover the scores (`cover`).
"""

import argparse
from collections.abc import Callable
from concurrent.futures import Future
from time import perf_counter
from typing import Any

import numpy as np

from gadfly import Tokenizer
from gadfly.conversation import JsonSchema
from gadfly.text import AnswerGrammar, tool_dialect
from gadfly.text.grammar import Grammars, TokenTable
from result import Result, add_options

TEXT = (
    '{"name": "Ada Lovelace, who wrote the first program of them all", "born": 1815, "works": [{"title": "Notes on the '
    'Analytical Engine", "pages": 66, "kind": "translation"}, {"title": "Letters", "pages": 512, "kind": "letters"}], '
    '"alive": false, "email": null}'
)
WORK = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "maxLength": 80},
        "pages": {"type": "integer", "minimum": 1},
        "kind": {"enum": ["letters", "translation", "program"]},
    },
    "required": ["title", "pages", "kind"],
    "additionalProperties": False,
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "born": {"type": "integer"},
        "works": {"type": "array", "items": WORK},
        "alive": {"type": "boolean"},
        "email": {"anyOf": [{"type": "string", "format": "email"}, {"type": "null"}]},
    },
    "required": ["name", "born", "works", "alive", "email"],
    "additionalProperties": False,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizer")
    parser.add_argument("--answers", type=int, default=20)
    add_options(parser)
    options = parser.parse_args()
    found = Result("masks")
    tokenizer = Tokenizer.from_file(options.tokenizer)
    vocab = tokenizer.vocab_size
    grammars, ids = Grammars(tokenizer, vocab), TokenTable(tokenizer, vocab)(TEXT.encode())
    kinds: dict[str, dict[str, Any]] = {"any object": {"type": "object"}, "a schema": SCHEMA}
    for name, schema in kinds.items():
        grammar = AnswerGrammar(tokenizer.controls, tool_dialect("", frozenset())).text(JsonSchema(schema))
        assert grammar is not None
        began = perf_counter()
        grammars.constraints(grammar, 1)
        first = perf_counter() - began
        built, masks, advances, covers = [], [], [], []
        scores = np.zeros(vocab)
        for _ in range(options.answers):
            began = perf_counter()
            (held,) = grammars.constraints(grammar, 1)
            built.append(perf_counter() - began)
            held._submit = at_once  # to be timed alone
            for token in ids[:-1]:
                assert not held.forbidden()[token]
                began = perf_counter()
                held._matcher.consume_token(token)
                advanced = perf_counter()
                held._compute()
                masked = perf_counter()
                np.copyto(scores, -np.inf, where=held.forbidden())
                covers.append(perf_counter() - masked)
                advances.append(advanced - began)
                masks.append(masked - advanced)
        words: dict[str, Any] = {"format": name, "vocabulary": vocab, "answer": len(ids)}
        found.add("ms", [1e3 * first], **words, what="first grammar")
        for what, taken in {"grammar": built, "mask": masks, "advance": advances, "cover": covers}.items():
            micros = np.array(taken) * 1e6
            shown = {"mean": micros.mean(), "median": np.median(micros), "99 %": np.percentile(micros, 99)}
            for part, value in shown.items():
                found.add("us", [float(value)], **words, what=f"{what}, {part}")
    found.publish(options)


def at_once(work: Callable[[], None]) -> Future[None]:
    """Not on another thread."""
    done: Future[None] = Future()
    work()
    done.set_result(None)
    return done


if __name__ == "__main__":
    main()
