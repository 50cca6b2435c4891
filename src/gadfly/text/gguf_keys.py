"""A tokenizer's file as the keys `tokenizer.*` of a GGUF file, from which `Tokenizer.from_gguf` and llama.cpp read it.

Ids stay what they are. What these keys cannot say is an error, but for two things: of the ids that end an answer only
three have keys, and the white space that a control token takes from the text around it has none.
Source: the tokenizer section of ggml's GGUF specification. The reverse: `gadfly.text.hugging_face_files`.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import models

from gadfly.errors import ModelFileError, UnsupportedError
from gadfly.text.byte_pair import sound_merges
from gadfly.text.piece_model import SPACE, PieceModel, user_defined_with
from gadfly.text.pre_tokenizers import GPT_2, PRE_TOKENIZERS
from gadfly.text.sentence_piece import SentencePiece
from gadfly.text.tok_json import TokJson
from gadfly.text.tokenizer_file import TokenizerFile, read_tokenizer_file
from gadfly.text.tokenizer_json import read_tokenizer_json, steps, token_text
from gadfly.text.vocabulary import BYTE, ENDS, NORMAL, Vocabulary
from gadfly.weights.gguf import GGUF
from gadfly.weights.gguf_metadata import Value

__all__ = ["gguf_keys"]


def gguf_keys(path: Path | str, template: str | None = None) -> dict[str, Value]:
    """Keys and values for `write_gguf`, from any file that `Tokenizer.from_file` reads.

    `template` is the model's chat template; a GGUF file has its own. Raises NotFoundError, ModelFileError for damage
    and UnsupportedError for tokenizers that GGUF cannot hold, all naming the file.
    """
    file = read_tokenizer_file(Path(path))
    if file.kind == "gguf":
        with GGUF.open(file.path) as gguf:
            keys = {key: gguf.metadata[key] for key in gguf.metadata if key.startswith("tokenizer.")}
    else:
        try:
            keys = {f"tokenizer.ggml.{key}": value for key, value in _keys(file).items()}
        except ModelFileError as error:
            raise type(error)(f"{file.path}: {error}") from None
    return keys if template is None else keys | {"tokenizer.chat_template": template}


def _keys(file: TokenizerFile) -> dict[str, Value]:
    match file.kind:
        case "json":
            vocabulary, _ = read_tokenizer_json(file.content, file.config, file.ends)
            merges = sound_merges(file.content["model"]["merges"], vocabulary)
            pre = _pre_tokenizer(file.content, vocabulary, merges)
            return _byte_pair(vocabulary, merges, pre, token_text(file.config.get("pad_token")))
        case "tok_json":
            tok_json = TokJson(file.content)
            if tok_json.pre is None:
                raise UnsupportedError("its pat_str is not known to GGUF, which names patterns")
            return _byte_pair(tok_json.vocabulary, tok_json.merges, tok_json.pre, "<|pad|>")
        case _:
            codec = SentencePiece(file.content)
            return _pieces(PieceModel.read(file.content, codec.ids(), file.config, file.ends))


def _byte_pair(
    vocabulary: Vocabulary, merges: Sequence[tuple[str, str]], pre: str, pad: str | None
) -> dict[str, Value]:
    if broken := next((pair for pair in merges if " " in pair[0] + pair[1]), None):
        raise UnsupportedError(f"the merge {broken!r} has a space, which GGUF puts between the two tokens")
    return {
        "model": "gpt2",
        "pre": pre,
        **_common(vocabulary, vocabulary.tokens.index(pad) if pad in vocabulary.tokens else None),
        "merges": [f"{left} {right}" for left, right in merges],
    }


def _pieces(model: PieceModel) -> dict[str, Value]:
    return {
        "model": "llama",
        "pre": "default",
        **_common(model.vocabulary, model.pad),
        "tokens": user_defined_with(SPACE, " ", model.vocabulary),
        "scores": np.array(model.scores, np.float32),
        "unknown_token_id": model.unknown,
        "add_space_prefix": model.space_prefix,
    }


def _common(vocabulary: Vocabulary, pad: int | None) -> dict[str, Value]:
    """The other ends of an answer: first those that a reader could not tell by their names."""
    others = sorted(vocabulary.stops - {vocabulary.eos}, key=lambda i: (vocabulary.tokens[i] in ENDS, i))
    ids = {
        "bos_token_id": vocabulary.bos,
        "eos_token_id": vocabulary.eos,
        "eot_token_id": others[0] if others else None,
        "eom_token_id": others[1] if len(others) > 1 and vocabulary.tokens[others[1]] not in ENDS else None,
        "padding_token_id": pad,
    }
    return {
        "tokens": list(vocabulary.tokens),
        "token_type": np.array(vocabulary.kinds, np.int32),
        **{key: i for key, i in ids.items() if i is not None},
        "add_bos_token": bool(vocabulary.adds_bos),
    }


def _pre_tokenizer(stated: Mapping[str, Any], vocabulary: Vocabulary, merges: Sequence[tuple[str, str]]) -> str:
    """The name of what a tokenizer.json does before it merges."""
    patterns = tuple(_patterns(stated))
    normal = [step["type"] for step in steps(stated.get("normalizer"), "normalizers") if step["type"] != "Sequence"]
    if set(normal) - {"NFC"}:
        raise UnsupportedError(f"it normalises text by {', '.join(normal)[:80]}, which GGUF has no name for")
    found = {
        name: pre for name, pre in PRE_TOKENIZERS.items() if (pre.patterns, pre.composed) == (patterns, bool(normal))
    }
    whole_words = bool(stated["model"].get("ignore_merges"))
    for name, pre in found.items():
        if pre.whole_words == whole_words:
            return name
    if found and _merges_reach_all(vocabulary, merges):  # then it makes no difference
        return next(iter(found))
    raise UnsupportedError(f"it cuts words by {str(patterns)[:200]}, which GGUF has no name for that is known here")


def _patterns(stated: Mapping[str, Any]) -> Iterator[str]:
    cuts = [step for step in steps(stated.get("pre_tokenizer"), "pretokenizers") if step["type"] != "Sequence"]
    for step in cuts:
        match step:
            case {"type": "Split", "pattern": {"Regex": str(pattern)}, "behavior": "Isolated", "invert": False}:
                yield pattern
            case {"type": "Digits", "individual_digits": True}:
                yield r"\p{N}"
            case {"type": "ByteLevel", "add_prefix_space": False} if step is cuts[-1]:
                if step.get("use_regex", True):
                    yield GPT_2
            case _:
                raise UnsupportedError(f"it cuts words by {str(step)[:80]}, which GGUF has no name for")


def _merges_reach_all(vocabulary: Vocabulary, merges: Sequence[tuple[str, str]]) -> bool:
    plain = vocabulary.of_kind(NORMAL, BYTE)
    model = models.BPE(plain, list(merges), cache_capacity=0)  # each is asked for once
    return all(len(model.tokenize(token)) == 1 for token in plain)
