"""What an adapter does at every strength, measured: the numbers that dial.py makes a dial of.

    python sweep.py ADAPTER OUT.json [STRENGTH ...]

Per strength, with the prompt of the recipe: `wit` of what it says to half of prompts.txt (the classifier of wit.py,
learnt from valid and test, whose questions the adapter has never seen), `perplexity` of held-out plain answers,
`preferred`, the share of held-out pairs whose witty answer is likelier per token, and `kept`, the share of the facts
that the base says right and that are still said. What is in OUT already is not measured again.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from wit import Wit, pairs

from gadfly.completion import Sampling
from gadfly.conversation import Message
from gadfly.evaluate.question import Asking, Outcome, Question, Ranking
from gadfly.evaluate.subject import Manner, Subject
from gadfly.evaluate.tasks.found import open_task
from gadfly.hub.library import Library
from gadfly.llm import LLM
from gadfly.ops.native import Native
from gadfly.settings import available_processors, home
from gadfly.train.data.chats import message_of
from gadfly.weights.adapter import merged, read_adapter
from gadfly.weights.load import open_model

BASE = "smollm2"
HERE = Path(__file__).parent
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25)
PAIRS, TOKENS = 40, {"facts": 32, "wit": 72}
FACTS = open_task(HERE / "facts.jsonl", "exact")
HELD_OUT = [HERE / "data" / "test.jsonl", HERE / "data" / "valid.jsonl"]
SPOKEN = Sampling(temperature=0.2, min_p=0.1, frequency_penalty=0.3, repetition_penalty=1.03, seed=1)  # as the persona


def at(adapter: Path, strength: float) -> LLM:
    """The base with the adapter in its weights."""
    file = open_model(Library(home()).require(BASE))
    if strength:
        one = read_adapter(adapter, file.page, file.spec)
        file = merged(file, replace(one, scale=one.scale * strength))
    return LLM(file, file.spec, Native(available_processors()), 2048, contexts=8)


def outcomes(llm: LLM, questions: list[Question], sampling: Sampling | None = None) -> list[Outcome]:
    prompt = pairs(HELD_OUT)[0][0][0]["content"]
    manner = Manner(system=prompt, sampling=sampling or Sampling(temperature=0.0))
    return [outcome for _, outcome in Subject(llm, manner).outcomes(questions)]


def measured(llm: LLM, classifier: Wit, right_at_0: set[str] | None) -> dict[str, Any]:
    facts = [replace(one, tokens=TOKENS["facts"]) for one in FACTS.questions if isinstance(one, Asking)]
    facts = [one for one in facts if right_at_0 is None or one.key in right_at_0]
    right = [one.key for one, found in zip(facts, outcomes(llm, [*facts]), strict=True) if FACTS.right(one, found)]
    asked = (HERE / "prompts.txt").read_text().splitlines()[::2]
    told = outcomes(llm, [Asking(one, (Message("user", one),), tokens=TOKENS["wit"]) for one in asked], SPOKEN)
    ranked = [
        Ranking(str(number), tuple(message_of(one, "a message") for one in before), (witty, plain), whole=True)
        for number, (before, witty, plain) in enumerate(pairs(HELD_OUT[:1]))
        if len(before) == 2  # the first answer of each
    ][:PAIRS]
    scores = np.array([found["scores"] for found in outcomes(llm, [*ranked])])  # (pairs, witty | plain, log p, …)
    per_token = scores[:, :, 0] / scores[:, :, 1]
    return {
        "wit": float(np.mean([classifier.score(one["said"]) for one in told])),
        "perplexity": float(np.exp(-scores[:, 1, 0].sum() / scores[:, 1, 1].sum())),
        "preferred": float((per_token[:, 0] > per_token[:, 1]).mean()),
        "kept": len(right) / len(facts) if right_at_0 is not None else 1.0,
        "right": right,
        "said": [one["said"] for one in told],
        "scores": scores[:, :, 0].tolist(),
    }


def main() -> None:
    adapter, out = (Path(one) for one in sys.argv[1:3])
    found: dict[str, dict[str, Any]] = json.loads(out.read_text()) if out.exists() else {}
    known = pairs(HELD_OUT)
    classifier = Wit.of([witty for _, witty, _ in known], [plain for *_, plain in known])
    for strength in sorted({0.0, *(map(float, sys.argv[3:]) if sys.argv[3:] else STRENGTHS)}):
        name = f"{strength:g}"
        if name not in found:
            right = set(found["0"]["right"]) if strength else None
            found[name] = measured(at(adapter, strength), classifier, right)
            out.write_text(json.dumps(found))
        print(name, {key: value for key, value in found[name].items() if isinstance(value, float)}, flush=True)


if __name__ == "__main__":
    main()
