"""Tokens that Hugging Face's files add to a vocabulary, or say more about than the vocabulary does.

Source: `AddedToken` of the `tokenizers` library, as tokenizer_config.json holds it under "added_tokens_decoder".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gadfly.errors import ModelFileError, UnsupportedError

__all__ = ["LARGEST_ID", "AddedToken", "read_added_token", "read_added_tokens"]

LARGEST_ID = 2**24


@dataclass(frozen=True)
class AddedToken:
    """`special` ones are control tokens. `strips`: whether it takes the white space before it, and behind it."""

    text: str
    special: bool
    strips: tuple[bool, bool]


def read_added_token(stated: Mapping[str, Any]) -> AddedToken:
    """Raises UnsupportedError for what plain text would have to be searched for, and KeyError and the like for lies."""
    token = AddedToken(
        str(stated["content"]), bool(stated.get("special")), (bool(stated.get("lstrip")), bool(stated.get("rstrip")))
    )
    if stated.get("single_word") or (any(token.strips) and not token.special):
        raise UnsupportedError(f"token {token.text[:40]!r} depends on the text around it; this is not supported")
    return token


def read_added_tokens(config: Mapping[str, Any]) -> dict[int, AddedToken]:
    """The added tokens of a tokenizer_config.json, by id."""
    try:
        stated = config.get("added_tokens_decoder") or {}
        added = {int(i): read_added_token(token) for i, token in stated.items()}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ModelFileError(f"added_tokens_decoder of tokenizer_config.json is not sound: {str(error)[:80]}") from None
    if not all(0 <= i < LARGEST_ID for i in added):
        raise ModelFileError(f"added_tokens_decoder of tokenizer_config.json has ids that are not below {LARGEST_ID}")
    return added
