"""What the page of the app weighs, how soon it is there, and how smoothly an answer runs into a long chat.

    make web/node_modules/.package-lock.json   # once: what drives the browser
    python benchmarks/page.py [--messages 1000] [--words 600] [--pace 80] [--rounds 3] [--results FILE]

`gadfly serve` runs as people run it, its chats in a folder of its own, and answers come from an upstream that writes
so many words a second, markdown with lists, code and tables: a model would take the processors that the page is
measured on, at another pace each time. Debian's chromium shows the page, without a screen, driven by page.mjs. Measured
are

    first load    bytes that a browser without anything of ours takes, compressed; and until one can type
    long chat     until a message of it is on the page
    streaming     milliseconds between two frames while an answer is written below the last messages of the long chat;
                  after its reader has been far back in it, for 20 s at most; and while the reader scrolls back

A frame takes 16.7 ms at best, for that is how often a screen asks. Rounds begin with a new browser each.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from time import sleep

from gadfly.chat.store import Arrival, Provenance, Store
from gadfly.conversation import Message
from result import Result, add_options

MODEL = "writer"
TEXT = """The gadfly of Athens asked *who* knew what they were **talking about**, and found few.

- It was never about winning an argument, but about what is left of it afterwards.
- Nobody thanked him, with the exception of those who had nothing to lose by it.

```python
def ask(city, question):
    for citizen in city:
        yield citizen, question(citizen)  # and write down who walks away
```

| who | claims to know | knows |
|---|---|---|
| a general | what courage is | how to march |
| a poet | what beauty is | four good lines |

What follows from $a \\le b$ and $b \\le a$ is, for once, beyond dispute: see [the apology](https://example.org/).

"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=1000)
    parser.add_argument("--words", type=int, default=600)
    parser.add_argument("--pace", type=float, default=80, help="words a second")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--chromium", default=os.environ.get("CHROMIUM", "/usr/bin/chromium"))
    add_options(parser)
    given = parser.parse_args()
    found = Result("page")
    rounds = defaultdict[tuple[str, str], list[float]](list)
    with TemporaryDirectory() as folder, writing(given.words, given.pace) as upstream:
        chat = fill(Path(folder) / "chats.sqlite", given.messages)
        with serving(Path(folder), upstream) as url:
            script = [Path(__file__).with_suffix(".mjs"), url, chat, given.chromium]
            for _ in range(given.rounds):
                told = subprocess.run(["node", *script], check=True, stdout=subprocess.PIPE, text=True).stdout
                for row in json.loads(told):
                    rounds[row["of"], row["unit"]].append(row["value"])
    for (of, unit), values in rounds.items():
        found.add(unit, values, of=of, messages=given.messages, words=given.words, pace=given.pace)
    found.publish(given)


def fill(path: Path, messages: int) -> str:
    """The id of a chat of so many messages: short questions and answers of some fifty words or two hundred."""
    store = Store(path)
    said = []
    for number in range(messages):
        role = "assistant" if number % 2 else "user"
        text = TEXT * (1 + number % 4) if number % 2 else f"Question {number}: and what do you make of that?"
        origin = Provenance(model=MODEL, persona="gadfly") if number % 2 else None
        said.append(Arrival(number - 1 if number else None, Message(role, text), 1.7e9 + number, origin))  # type: ignore[arg-type]
    chat = store.arrive("", "The long one", said, messages - 1, model=MODEL).id
    store.close()
    return chat


@contextmanager
def serving(home: Path, upstream: str) -> Iterator[str]:
    command = [sys.executable, "-m", "gadfly", "serve", "--upstream", upstream, "--port", "0"]
    environment = {**os.environ, "GADFLY_HOME": str(home), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            address = re.search(r"http://\S+", process.stdout.readline())
            if address is None:
                raise SystemExit(f"gadfly serve ended with {process.wait()}")
            yield address[0]
        finally:
            process.terminate()


@contextmanager
def writing(words: int, pace: float) -> Iterator[str]:
    """The address of an engine that answers everything with so many words, so many of them a second."""

    class Writer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer("application/json")
            self.wfile.write(json.dumps({"data": [{"id": MODEL, "max_model_len": 1 << 20}]}).encode())

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.answer("text/event-stream")
            for word in islice(cycle(re.findall(r"\S+\s*", TEXT)), words):
                self.tell({"index": 0, "delta": {"content": word}, "finish_reason": None})
                sleep(1 / pace)
            self.tell({"index": 0, "delta": {}, "finish_reason": "stop"})
            self.wfile.write(b"data: [DONE]\n\n")

        def answer(self, kind: str) -> None:
            self.send_response(200)
            self.send_header("content-type", kind)
            self.end_headers()

        def tell(self, choice: object) -> None:
            self.wfile.write(b"data: %s\n\n" % json.dumps({"id": "a", "choices": [choice]}).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Writer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


if __name__ == "__main__":
    main()
