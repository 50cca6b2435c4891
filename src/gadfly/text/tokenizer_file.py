"""The file of a tokenizer, told apart by its content, and what the files beside it say about its tokens.

    tokenizer_config.json     what begins a text, whether it is put there unasked, added tokens
    generation_config.json    what ends an answer; config.json where it does not say

GGUF files say all of it themselves. What the content means: `gadfly.text.tokenizer` and the formats that it names.
Source: transformers, the files that `save_pretrained` writes.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gadfly.errors import ModelFileError, NotFoundError

__all__ = ["TokenizerFile", "read_tokenizer_file"]

LARGEST_FILE = 2**28  # bytes, of files that are read as a whole
MOST_ENDS = 64


@dataclass(frozen=True)
class TokenizerFile:
    """`content` is the parsed JSON of a "json" or "tok_json", the bytes of a "sentence_piece", None of a "gguf"."""

    path: Path
    kind: Literal["gguf", "json", "tok_json", "sentence_piece"]
    content: Any
    config: Mapping[str, Any]  # tokenizer_config.json
    ends: frozenset[int]  # ids that end an answer, as stated


def read_tokenizer_file(path: Path) -> TokenizerFile:
    """Raises NotFoundError and ModelFileError, which name the file."""
    try:
        with path.open("rb") as file:
            start = file.read(4)
            if start == b"GGUF":
                return TokenizerFile(path, "gguf", None, {}, frozenset())
            data = start + file.read(LARGEST_FILE)
    except FileNotFoundError:
        raise NotFoundError(f"{path}: no such file") from None
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > LARGEST_FILE:
        raise ModelFileError(f"{path}: larger than {LARGEST_FILE >> 20} MiB; no tokenizer is")
    try:
        config = _neighbour(path, "tokenizer_config.json")
        ends = _ends(_neighbour(path, "generation_config.json")) or _ends(_neighbour(path, "config.json"))
        if not data.lstrip().startswith(b"{"):
            return TokenizerFile(path, "sentence_piece", data, config, ends)
        content = json.loads(data.decode())
    except UnicodeDecodeError:
        raise ModelFileError(f"{path}: not valid UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{path}: not sound JSON: {str(error)[:100]}") from None
    except ModelFileError as error:
        raise type(error)(f"{path}: {error}") from None
    return TokenizerFile(path, "tok_json" if "regular_tokens" in content else "json", content, config, ends)


def _neighbour(path: Path, name: str) -> Mapping[str, Any]:
    try:
        with path.with_name(name).open("rb") as file:
            config = json.loads(file.read(LARGEST_FILE))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFileError(f"{name} next to it cannot be read: {str(error)[:100]}") from None
    if not isinstance(config, dict):
        raise ModelFileError(f"{name} next to it is not a JSON object")
    return config


def _ends(config: Mapping[str, Any]) -> frozenset[int]:
    stated = config.get("eos_token_id")
    ids = stated if isinstance(stated, list) else [] if stated is None else [stated]
    if len(ids) > MOST_ENDS or not all(type(i) is int for i in ids):
        raise ModelFileError("eos_token_id next to it is no token id, or list of some")
    return frozenset(ids)
