"""What a character is asked, or was taught, as a model reads it: token ids, whole, with answers if there are any.

From a .txt file, a prompt in each line, or from lines of any kind that a model can be trained on.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from gadfly.answer import Prompts
from gadfly.conversation import Message
from gadfly.errors import RequestError
from gadfly.lines import Problem, read_text
from gadfly.train.data.native import Native, messages_of, read_native
from gadfly.train.data.preferences import Preference
from gadfly.train.data.texts import Document

__all__ = ["read_examples"]

LONGEST = 512  # tokens that are read of one


def read_examples(
    path: Path, prompts: Prompts, most: int, longest: int, told: Callable[[Path, Problem], None]
) -> list[list[int]]:
    """The first ones of a file, with up to `most` tokens together and `longest` each; what cannot be read is told.

    Raises NotFoundError or RequestError if the file cannot be read at all or has nothing in it.
    """
    chunks: list[list[int]] = []
    left = most
    for ids in _ids(path, prompts, told):
        chunks.append(ids[: min(left, longest, LONGEST)])
        left -= len(chunks[-1])
        if not left:
            break
    if not chunks:
        raise RequestError(f"{path} has no prompts; expected one a line (.txt), or what a model is trained on")
    return chunks


def _ids(path: Path, prompts: Prompts, told: Callable[[Path, Problem], None]) -> Iterator[list[int]]:
    if path.suffix.lower() == ".txt":
        for line in filter(None, map(str.strip, read_text(path).splitlines())):
            yield prompts.ids([Message("user", line)])
        return
    for found in read_native(path):
        if isinstance(found, Problem):
            told(path, found)
            continue
        yield _read(found[1], prompts)


def _read(native: Native, prompts: Prompts) -> list[int]:
    match native:
        case Document():
            return prompts.text_ids(native.text)
        case Preference():
            messages: tuple[Message, ...] = (*native.prompt, native.chosen)
        case _:
            messages = messages_of(native)
    answered = messages[-1].role == "assistant" and prompts.template is not None
    return prompts.answered_ids(messages) if answered else prompts.ids(messages)
