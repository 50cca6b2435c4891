"""The four forms that a line of data may have, told apart by their keys:

{"messages": …}                          a conversation to learn from         Lesson
{"prompt": …, "chosen": …, "rejected": …}  what is preferred to what          Preference
{"prompt": …, "reply": …, "label": …}    what is thought of an answer         Thumb
{"text": …}                              a text to learn to continue          Document
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from gadfly.conversation import Message
from gadfly.lines import Problem, Row, read_lines
from gadfly.train.data.chats import Lesson, lesson_of
from gadfly.train.data.preferences import Preference, Thumb, preference_of, thumb_of
from gadfly.train.data.texts import Document, document_of

__all__ = ["Native", "answers_of", "messages_of", "native_of", "read_native"]


Native = Lesson | Preference | Thumb | Document


def read_native(path: Path, advanced: Callable[[int], None] = lambda _: None) -> Iterator[tuple[Row, Native] | Problem]:
    """Lines as they are, and what they say; `advanced` hears the bytes of each.

    Raises NotFoundError or RequestError if the file cannot be read at all.
    """
    for row in read_lines(path, advanced):
        if isinstance(row, Row):
            found = native_of(row)
            yield found if isinstance(found, Problem) else (row, found)
        else:
            yield row


def native_of(row: Row) -> Native | Problem:
    """What a line says, or what is wrong with it."""
    table = row.table
    if "messages" in table:
        return lesson_of(row)
    if "chosen" in table or "rejected" in table:
        return preference_of(row)
    if "reply" in table or "label" in table:
        return thumb_of(row)
    if "text" in table:
        return document_of(row)
    return Problem(row.line, "has no messages, nothing chosen, no reply and no text; see `gadfly data import`")


def messages_of(native: Native) -> tuple[Message, ...]:
    """All that is said in it; of two answers the better first."""
    match native:
        case Lesson():
            return native.messages
        case Preference():
            return (*native.prompt, native.chosen, native.rejected)
        case Thumb():
            return (*native.prompt, native.reply)
        case Document():
            return (Message("assistant", native.text),)


def answers_of(native: Lesson | Preference | Thumb) -> list[Lesson]:
    """What a model is shown of it: the conversation, or one for each answer, which alone is learnt."""
    match native:
        case Lesson():
            return [native]
        case Preference():
            answers = [native.chosen, native.rejected]
        case Thumb():
            answers = [native.reply]
    learnt = (*(False for _ in native.prompt), True)
    return [
        Lesson((*native.prompt, answer), learnt, None, native.weight, native.meta, native.line) for answer in answers
    ]
