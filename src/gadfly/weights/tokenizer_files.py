"""Which file of a Hugging Face model's folder holds its tokenizer, and the text of its chat template.

What they mean is not known here: see `gadfly.text`. A folder is hostile input: nothing outside of it is read.
Source: transformers, the files that `save_pretrained` writes; xai-org/grok-2 for tokenizer.tok.json.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gadfly.errors import ModelFileError
from gadfly.weights.disk import optional_file
from gadfly.weights.grok2_template import GROK_2_TEMPLATE

__all__ = ["TOKENIZER_FILES", "TokenizerFiles", "find_tokenizer"]

TOKENIZER_FILES = (  # all that may belong to one
    "added_tokens.json",
    "chat_template.jinja",
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer.tok.json",
    "tokenizer_config.json",
    "vocab.json",
)
LARGEST_FILE = 2**28  # bytes, of a vocabulary
LARGEST_TEXT = 2**24  # bytes, of a configuration or a template; a configuration may spell out thousands of tokens


@dataclass(frozen=True)
class TokenizerFiles:
    tokenizer: Path | None
    template: str | None  # in the language of jinja2, not yet looked at


def find_tokenizer(folder: Path | str) -> TokenizerFiles:
    """The tokenizer to open and the chat template of a model's folder; either may be missing.

    tokenizer.json counts if it describes byte-level byte-pair encoding; else tokenizer.model does. Raises
    ModelFileError for files that are damaged or lie outside of the folder.
    """
    folder = Path(folder)
    tok_json, stated, pieces = (
        optional_file(folder, name) for name in ("tokenizer.tok.json", "tokenizer.json", "tokenizer.model")
    )
    tokenizer = tok_json or (pieces if pieces and not (stated and _is_byte_level(stated)) else stated)
    template = _template(folder)
    return TokenizerFiles(tokenizer, GROK_2_TEMPLATE if tok_json and template is None else template)


def _template(folder: Path) -> str | None:
    if path := optional_file(folder, "chat_template.jinja"):
        try:
            return _read(path, LARGEST_TEXT).decode()
        except UnicodeDecodeError:
            raise ModelFileError(f"{path} is not valid UTF-8; fetch it again") from None
    for name in ("tokenizer_config.json", "chat_template.json"):
        path = optional_file(folder, name)
        stated = _json(path, LARGEST_TEXT).get("chat_template") if path else None
        if isinstance(stated, list):  # of several under names
            named = [entry for entry in stated if isinstance(entry, dict) and entry.get("name") == "default"]
            stated = named[0].get("template") if named else None
        if isinstance(stated, str):
            return stated
        if stated is not None:
            raise ModelFileError(f"{path}: chat_template is a {type(stated).__name__}; expected text")
    return None


def _is_byte_level(path: Path) -> bool:
    model = _json(path, LARGEST_FILE).get("model")
    return isinstance(model, dict) and model.get("type") == "BPE" and not model.get("byte_fallback")


def _json(path: Path, most: int) -> dict[str, Any]:
    try:
        content = json.loads(_read(path, most))
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{path} cannot be read as JSON: {str(error)[:80]}; fetch it again") from None
    if not isinstance(content, dict):
        raise ModelFileError(f"{path} holds no JSON object; fetch it again")
    return content


def _read(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}; check its permissions") from error
    if len(data) > most:
        raise ModelFileError(f"{path} has more than {most} bytes; fetch it again")
    return data
