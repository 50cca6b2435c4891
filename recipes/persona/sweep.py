"""What an adapter does at every strength, measured: the numbers that dial.py makes a dial of.

    python sweep.py ADAPTER OUT.json [STRENGTH ...]

Per strength, asked by the persona: `wit` of what it says to half of prompts.txt (the classifier of wit.py, learnt from
valid and test, whose questions the adapter has never seen), `perplexity` of held-out plain answers, `gained`, the share
of held-out pairs whose witty answer gains more over the base than its plain twin (the accuracy of rewards of DPO,
arXiv 2305.18290), `right`, the share of all facts that are said, and `kept`, of those that the base says. What is in
OUT already is not measured again.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from wit import Wit, pairs

from gadfly.chat.persona import load_persona
from gadfly.completion import Sampling
from gadfly.conversation import Message
from gadfly.evaluate.question import Asking, Outcome, Question, Ranking
from gadfly.evaluate.subject import Manner, Subject
from gadfly.evaluate.tasks.found import open_task
from gadfly.llm import LLM, load
from gadfly.train.data.chats import message_of

BASE, PERSONA, WIT = "smollm2", "gadfly", 0.7
HERE = Path(__file__).parent
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25)
PAIRS, TOKENS = 60, {"facts": 48, "wit": 72}
FACTS = open_task(HERE / "facts.jsonl", "exact")
HELD_OUT = [HERE / "data" / "test.jsonl", HERE / "data" / "valid.jsonl"]


def outcomes(llm: LLM, strength: float, questions: list[Question], sampling: Sampling | None = None) -> list[Outcome]:
    manner = Manner(
        persona=PERSONA,
        wit=WIT,
        sampling=sampling or Sampling(temperature=0.0),
        adapters=dict.fromkeys(llm.adapters.names, strength),
    )
    return [outcome for _, outcome in Subject(llm, manner).outcomes(questions)]


def likelihoods(llm: LLM, strength: float) -> NDArray[np.float64]:
    """(pairs, witty | plain, log p and tokens), of the first answer of each held-out conversation."""
    ranked = [
        Ranking(str(number), (message_of(before[-1], "a message"),), (witty, plain), whole=True)
        for number, (before, witty, plain) in enumerate(pairs(HELD_OUT[:1]))
        if len(before) == 2
    ][:PAIRS]
    return np.array([found["scores"] for found in outcomes(llm, strength, [*ranked])], np.float64)[..., :2]


def measured(llm: LLM, classifier: Wit, strength: float, base: dict[str, Any] | None) -> dict[str, Any]:
    facts = [replace(one, tokens=TOKENS["facts"]) for one in FACTS.questions if isinstance(one, Asking)]
    found = zip(facts, outcomes(llm, strength, [*facts]), strict=True)
    right = {one.key for one, outcome in found if FACTS.right(one, outcome)}
    asked = (HERE / "prompts.txt").read_text().splitlines()[::2]
    spoken = replace(load_persona(PERSONA).sampling, seed=1)
    told = outcomes(
        llm, strength, [Asking(one, (Message("user", one),), tokens=TOKENS["wit"]) for one in asked], spoken
    )
    scores = likelihoods(llm, strength)
    known = right if base is None else set(base["answered"])
    gains = scores[..., 0] - (scores if base is None else np.array(base["scores"]))[..., 0]
    return {
        "wit": float(np.mean([classifier.score(one["said"]) for one in told])),
        "perplexity": float(np.exp(-scores[:, 1, 0].sum() / scores[:, 1, 1].sum())),
        "gained": float((gains[:, 0] > gains[:, 1]).mean()),
        "right": len(right) / len(facts),
        "kept": len(right & known) / len(known),
        "answered": sorted(right),
        "said": [one["said"] for one in told],
        "scores": scores.tolist(),
    }


def main() -> None:
    adapter, out = (Path(one) for one in sys.argv[1:3])
    found: dict[str, dict[str, Any]] = json.loads(out.read_text()) if out.exists() else {}
    known = pairs(HELD_OUT)
    classifier = Wit.of([witty for _, witty, _ in known], [plain for *_, plain in known])
    llm = load(BASE, adapters={adapter: 0.0}, context=2048, contexts=8)
    for strength in sorted({0.0, *(map(float, sys.argv[3:]) if sys.argv[3:] else STRENGTHS)}):
        name = f"{strength:g}"
        if name not in found:
            found[name] = measured(llm, classifier, strength, found.get("0"))
            out.write_text(json.dumps(found))
        print(name, {key: value for key, value in found[name].items() if isinstance(value, float)}, flush=True)


if __name__ == "__main__":
    main()
