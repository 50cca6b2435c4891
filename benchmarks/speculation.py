"""What guessing tokens that repeat earlier text brings, and what it costs where nothing repeats: tokens per second.

    python benchmarks/speculation.py [--model MODEL] [--threads N] [--kernels K] [--rounds N] [--tokens N] [--only TASK]

The same requests with and without, taking turns A B B A after one round that does not count; medians of the seconds
spent on writing, prompts aside. Answers have to be the same to the token, or it fails. `accepted` are the tokens that
came true, of those that were verified in all rounds.
"""

import argparse
from functools import partial

import gadfly
from gadfly.conversation import Message
from gadfly.settings import available_processors
from result import Result, add_options, take_turns

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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--threads", type=int, default=available_processors())
    parser.add_argument("--kernels")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--only", action="append", choices=TASKS)
    add_options(parser)
    given = parser.parse_args()
    guessing, plain = (
        gadfly.load(given.model, threads=given.threads, kernels=given.kernels, speculate=speculate)
        for speculate in (True, False)
    )
    found = Result("speculation", peer="without guesses, the same engine")
    for task in given.only or TASKS:
        request, temperature = TASKS[task]
        prompt = guessing.prompt_ids([Message("user", request)])
        answers = set()

        def speed(llm: gadfly.LLM) -> float:
            answer = llm.generate(prompt, max_tokens=given.tokens, temperature=temperature, seed=1)  # noqa: B023
            answers.add(answer.ids)  # noqa: B023
            return (len(answer.ids) - 1) / answer.usage.decode_seconds

        before = guessing.counts()
        times = take_turns({"with": partial(speed, guessing), "without": partial(speed, plain)}, given.rounds)
        if len(answers) > 1:
            raise SystemExit(f"{task}: the answers differ")
        after = guessing.counts()
        drafted, accepted = (getattr(after, n) - getattr(before, n) for n in ("drafted_tokens", "accepted_tokens"))
        words = {"kernels": guessing.kernels, "threads": given.threads, "tokens": len(answers.pop())}
        words["accepted"] = f"{accepted} of {drafted}"
        found.add("tokens/s", times["with"], times["without"], task=task, **words)
    found.publish(given)


if __name__ == "__main__":
    main()
