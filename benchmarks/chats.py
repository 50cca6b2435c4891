"""How quickly conversations are found and opened once there are many, and what keeping them costs.

    python benchmarks/chats.py [--messages N] [--rounds N] [--results FILE]

Fills a store in a folder of its own with chats of ten messages and one of a thousand, made of words that occur as
often as words do (Zipf). Then, with the file in the page cache: searches for a rare word, a frequent one, two of them,
a phrase, a beginning, a word that is nowhere; opening the store, the list, a chat of ten and of a thousand messages;
and what a message and a save during an answer take, fsync included, which is a matter of the disk. Reading is done
through a store that has just been opened.
"""

import argparse
import random
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from gadfly.chat.store import Arrival, Provenance, Store
from gadfly.conversation import Message
from result import Result, add_options

WORDS = 30_000
LONG = 1000  # messages of the long chat
SHORT = 10
FIRST, RARE, NOWHERE = "the", "qoph", "xyzzy"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=21)
    add_options(parser)
    given = parser.parse_args()
    found = Result("chats")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "chats.sqlite"
        long = fill(path, given.messages)
        found.add("MB", [sum(file.stat().st_size for file in path.parent.glob("chats.sqlite*")) / 1e6], of="the file")
        measure(found, path, long, given.messages, given.rounds)
    found.publish(given)


def fill(path: Path, messages: int) -> str:
    """The id of the long chat. Terms and file names of a real one; the words mean nothing."""
    chosen = random.Random(1)
    vocabulary = [FIRST, *("".join(chosen.choices("aeioulnrst", k=chosen.randint(3, 9))) for _ in range(WORDS))]
    weights = list(accumulate(1 / rank for rank in range(1, len(vocabulary) + 1)))

    def arrivals(count: int) -> list[Arrival]:
        made = []
        for number in range(count):
            role = "assistant" if number % 2 else "user"
            text = " ".join(chosen.choices(vocabulary, cum_weights=weights, k=chosen.randint(5, 120)))
            origin = (
                Provenance(model="smollm2", licence="Apache-2.0", persona="gadfly", seed=number) if number % 2 else None
            )
            made.append(Arrival(number - 1 if number else None, Message(role, text), 1.7e9 + number, origin))  # type: ignore[arg-type]
        return made

    store = Store(path)
    long = store.arrive("", "The long one", arrivals(LONG), LONG - 1).id
    with store.writing():  # one transaction, or the disk is what is measured for minutes
        for number in range((messages - LONG) // SHORT):
            store.arrive("", f"Chat {number}", arrivals(SHORT), SHORT - 1)
    last = store.open("", long).path[-1]
    store.say("", long, last.id, Message("user", f"{RARE} {FIRST} lunatic"))
    store.close()
    return long


def measure(found: Result, path: Path, long: str, messages: int, rounds: int) -> None:
    def add(of: str, act: Callable[[], object]) -> None:
        found.add("ms", [timed(act) for _ in range(rounds + 1)][1:], of=of, messages=messages)

    add("opening and closing the store", lambda: Store(path).close())
    store = Store(path)
    for name, text in (
        ("rare word", f"{RARE} "),
        ("frequent word", f"{FIRST} "),
        ("two words, one frequent", f"{FIRST} {RARE} "),
        ("phrase", f'"{RARE} {FIRST}"'),
        ("one letter", FIRST[0]),
        ("beginning of a word", RARE[:2]),
        ("nowhere", NOWHERE),
    ):
        add(f"search: {name}", lambda text=text: store.search("", text))  # type: ignore[misc]
    add("list of 50", lambda: store.chats(""))
    short = store.chats("", limit=500).chats[-1].id
    add(f"chat of {SHORT} messages", lambda: store.open("", short))
    add(f"chat of {LONG + 1} messages", lambda: store.open("", long))
    chat = store.create("").id
    add("a message said", lambda: store.say("", chat, None, Message("user", f"Why {perf_counter()}?")))
    writing = store.begin("", chat, None, Provenance(model="smollm2"))
    writing.write("word " * 300)

    def save() -> None:
        writing.write("more ")
        writing.flush()

    add("an answer of 300 words saved", save)
    writing.stop()
    store.close()


def timed(act: Callable[[], object]) -> float:
    """Milliseconds."""
    began = perf_counter()
    act()
    return 1000 * (perf_counter() - began)


if __name__ == "__main__":
    main()
