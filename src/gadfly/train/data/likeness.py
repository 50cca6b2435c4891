"""When two texts are the same: to the letter, or but for capitals, punctuation and space."""

import json
import re
import unicodedata
from hashlib import blake2b

from gadfly.conversation import Message
from gadfly.train.data.native import Native, messages_of
from gadfly.train.data.texts import Document

__all__ = ["exact_digest", "loose_digest", "prompt_digest", "words_of"]

WORD = re.compile(r"[^\W_]+")


def words_of(text: str) -> list[str]:
    """Letters and digits, without the difference of capitals and of ways to write the same character."""
    return WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def exact_digest(native: Native) -> bytes:
    """The same for lines that say the same, in the same roles, whatever else stands in them."""
    return _digest([type(native).__name__, *((one.role, one.content) for one in messages_of(native))])


def loose_digest(native: Native) -> bytes:
    """The same for lines that say the same in the same words."""
    return _digest([type(native).__name__, *(_loose(one) for one in messages_of(native))])


def prompt_digest(native: Native) -> bytes:
    """The same for lines that begin with the same question in the same words; of a text, its first fifty words."""
    if isinstance(native, Document):
        return _digest(words_of(native.text)[:50])
    asked = next((one for one in messages_of(native) if one.role == "user"), messages_of(native)[0])
    return _digest(_loose(asked))


def _loose(message: Message) -> object:
    words = words_of(message.content)
    return [message.role, words or message.content]  # of signs alone nothing would be left to compare


def _digest(value: object) -> bytes:
    return blake2b(json.dumps(value).encode(), digest_size=16).digest()
