"""What the scripts that ask through somebody's client have in common: checks, told as lines of JSON.

It runs with the interpreter of that client's environment, so it knows the standard library and nothing else.
A check says what it saw, and fails by raising; what a client cannot do has no check.
"""

import json
import re
import sys
import time
import traceback
import urllib.request
from collections.abc import Callable

__all__ = ["COLOUR", "ENDLESS", "FRANCE", "LONG", "STORY", "WEATHER", "Asking", "refused"]

FRANCE = "What is the capital of France?"
STORY = "Tell me a very long story about a gadfly."
ENDLESS = {"0": -100, "2": -100}  # as logit_bias: no token that would end the text
LONG = "word " * 6000  # more than the server of these tests has room for
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}},
    "required": ["city"],
    "additionalProperties": False,
}
COLOUR = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "green", "blue"]}},
    "required": ["colour"],
    "additionalProperties": False,
}

Check = Callable[[], object]


class Asking:
    """`url` and `model` are the arguments of the script. Checks are run where they are written down."""

    def __init__(self) -> None:
        self.url, self.model = sys.argv[1:3]

    def check(self, name: str) -> Callable[[Check], Check]:
        def run(check: Check) -> Check:
            try:
                told = {"check": name, "ok": True, "detail": str(check() or "")[:200]}
            except Exception as error:
                traceback.print_exc()
                told = {"check": name, "ok": False, "detail": f"{type(error).__name__}: {error}"[:500]}
            print(json.dumps(told), flush=True)
            return check

        return run

    def count(self, name: str) -> float:
        """What the server says of itself."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=60) as answer:
            found = re.search(rf"^{name}{{.*}} (\S+)$", answer.read().decode(), re.MULTILINE)
        return float(found[1]) if found else 0.0

    def leave(self, begin: Callable[[], Callable[[], object]], length: int = 3000) -> str:
        """The server has to stop when a client goes: `begin` asks for `length` tokens and returns what ends that."""
        before = self.count("gadfly_generated_tokens_total")
        begin()()
        while self.count("gadfly_requests_running"):
            time.sleep(0.02)
        written = self.count("gadfly_generated_tokens_total") - before
        assert 0 < written < length, f"{written} tokens were written for nobody"
        return "the server has stopped"


def refused(kind: type[Exception] | tuple[type[Exception], ...], ask: Check, *words: str) -> Exception:
    """The exception with which `ask` fails, whose text has these words."""
    try:
        answer = ask()
    except kind as error:
        missing = [word for word in words if word not in str(error)]
        assert not missing, f"{missing} not in: {error}"
        return error
    raise AssertionError(f"it was answered: {answer}")
