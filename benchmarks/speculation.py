"""What guessing tokens that repeat earlier text brings, and what it costs where nothing repeats: tokens per second.

    python benchmarks/speculation.py [--model MODEL] [--threads N] [--kernels K] [--rounds N] [--tokens N] [--only TASK]

The same requests with and without, taking turns A B B A after one round that does not count; medians of the seconds
spent on writing, prompts aside. Answers have to be the same to the token, or it fails. Prints JSON, a line for each
task: `ratio` is with over without, `accepted` the share of the verified tokens that came true.
"""

import argparse
import json
from statistics import median

import gadfly
from gadfly.chat.values import Message

TEXT = (
    "The lighthouse at Cape Wrath was built in 1828 by Robert Stevenson. It stands on a cliff of 121 metres and was "
    "manned until 1998, when it was converted to automatic operation. The tower is 20 metres high, and its light can "
    "be seen for 22 nautical miles. Supplies used to arrive by sea twice a year, at a small jetty in the bay of Clais "
    "Charnach."
)

CODE = """```python
class Counter:
    def __init__(self, start):
        self.value = start

    def increase(self, step):
        self.value = self.value + step

    def decrease(self, step):
        self.value = self.value - step

    def show(self):
        print("The value is", self.value)
```"""

TASKS = {
    "repeat this text": (f"Repeat the following text word for word.\n\n{TEXT}", 0.0),
    "edit this code": (
        f"Here is a Python class:\n\n{CODE}\n\nWrite the same class again, but rename it to Tally.",
        0.0,
    ),
    "plain chat": ("Why do people keep bees, and what is the hardest part of it?", 0.0),
    "plain chat, sampled": ("Why do people keep bees, and what is the hardest part of it?", 0.8),
    "poem": ("Write a long poem about the sea at night, without rhymes.", 0.0),
    "poem, sampled": ("Write a long poem about the sea at night, without rhymes.", 1.0),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--kernels")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--only", action="append", choices=TASKS)
    asked = parser.parse_args()
    sides = {
        speculate: gadfly.load(asked.model, threads=asked.threads, kernels=asked.kernels, speculate=speculate)
        for speculate in (True, False)
    }
    for task in asked.only or TASKS:
        request, temperature = TASKS[task]
        prompt = sides[True].prompt_ids([Message("user", request)])
        speeds: dict[bool, list[float]] = {True: [], False: []}
        answers = set()
        before = sides[True].counts()
        for turn in range(asked.rounds + 1):
            for speculate in (True, False) if turn % 2 else (False, True):
                found = sides[speculate].generate(prompt, max_tokens=asked.tokens, temperature=temperature, seed=1)
                if turn:
                    speeds[speculate].append((len(found.ids) - 1) / found.usage.decode_seconds)
                answers.add(found.ids)
        if len(answers) > 1:
            raise SystemExit(f"{task}: the answers differ")
        after = sides[True].counts()
        drafted, accepted = (getattr(after, n) - getattr(before, n) for n in ("drafted_tokens", "accepted_tokens"))
        print(
            json.dumps(
                {
                    "task": task,
                    "tokens": len(found.ids),
                    "with": round(median(speeds[True]), 1),
                    "without": round(median(speeds[False]), 1),
                    "ratio": round(median(speeds[True]) / median(speeds[False]), 2),
                    "drafted": drafted,
                    "accepted": round(accepted / drafted, 2) if drafted else None,
                }
            )
        )


if __name__ == "__main__":
    main()
