"""A tokenizer out of a GGUF file as the files that transformers looks for in a model's folder.

    tokenizer.json            byte-level byte-pair encoding
    tokenizer.model           SentencePiece
    tokenizer_config.json     what begins and ends a text, the chat template, the control tokens
    generation_config.json    what ends an answer

Source: the serialised form of the `tokenizers` library; transformers, `save_pretrained`. The reverse:
`gadfly.text.gguf_keys`.
"""

import json
from collections.abc import Mapping
from typing import Any

from gadfly.text.byte_pair import sound_merges
from gadfly.text.piece_model import PieceModel
from gadfly.text.pre_tokenizers import PRE_TOKENIZERS, PreTokenizer
from gadfly.text.tokenizer import Tokenizer
from gadfly.text.tokenizer_keys import TokenizerKeys
from gadfly.text.vocabulary import CONTROL, UNUSED, USER_DEFINED, Vocabulary

__all__ = ["hugging_face_files"]


def hugging_face_files(metadata: Mapping[str, Any]) -> dict[str, bytes]:
    """Content by file name, from the keys `tokenizer.*`; what `Tokenizer.from_gguf` raises for them, this raises."""
    tokenizer = Tokenizer.from_gguf(metadata)  # checks all of it
    keys = TokenizerKeys(metadata)
    vocabulary = Vocabulary.from_gguf(keys)
    config = _config(vocabulary, keys, tokenizer.adds_bos)
    if isinstance(template := metadata.get("tokenizer.chat_template"), str):
        config["chat_template"] = template
    if keys.word("model") == "llama":
        model = PieceModel.from_gguf(vocabulary, keys)
        named = {"unk_token": model.vocabulary.tokens[model.unknown], "add_prefix_space": model.space_prefix}
        config |= {"tokenizer_class": "LlamaTokenizer", "legacy": False, **named}
        content = {"tokenizer.model": model.proto()}
    else:
        config |= {"tokenizer_class": "PreTrainedTokenizerFast"}
        pre = PRE_TOKENIZERS[keys.word("pre") or "default"]
        merges = [list(pair) for pair in sound_merges(keys.strings("merges") or [], vocabulary)]
        content = {"tokenizer.json": _json(_tokenizer_json(vocabulary, merges, pre, tokenizer))}
    ends = {"eos_token_id": sorted(tokenizer.stop_ids), "bos_token_id": vocabulary.bos}
    return {
        **content,
        "tokenizer_config.json": _json(config),
        "generation_config.json": _json({key: value for key, value in ends.items() if value or value == 0}),
    }


def _config(vocabulary: Vocabulary, keys: TokenizerKeys, adds_bos: bool) -> dict[str, Any]:
    pad = keys.token_id("padding_token_id", len(vocabulary.tokens))
    ids = {"bos_token": vocabulary.bos, "eos_token": vocabulary.eos, "pad_token": pad}
    return {
        "add_bos_token": adds_bos,
        "add_eos_token": False,
        "added_tokens_decoder": {str(token.pop("id")): token for token in _added(vocabulary, CONTROL, USER_DEFINED)},
        "clean_up_tokenization_spaces": False,
        **{key: vocabulary.tokens[i] for key, i in ids.items() if i is not None},
    }


def _added(vocabulary: Vocabulary, *kinds: int) -> list[dict[str, Any]]:
    """The tokens that are found in a text before it is cut, as `tokenizers` describes them."""
    marks = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return [
        {"id": i, "content": token, **marks, "special": kind != USER_DEFINED}
        for i, (token, kind) in enumerate(zip(vocabulary.tokens, vocabulary.kinds, strict=True))
        if kind in kinds
    ]


def _tokenizer_json(
    vocabulary: Vocabulary, merges: list[list[str]], pre: PreTokenizer, tokenizer: Tokenizer
) -> dict[str, Any]:
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    cuts = [
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
        for pattern in pre.patterns
    ]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _added(vocabulary, CONTROL, USER_DEFINED, UNUSED),  # the last so that no id is missing
        "normalizer": {"type": "NFC"} if pre.composed else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [*cuts, level]},
        "post_processor": _beginning(tokenizer) if tokenizer.adds_bos else level,
        "decoder": level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": pre.whole_words,
            "vocab": {token: i for i, token in enumerate(vocabulary.tokens)},  # added ones too, or they get other ids
            "merges": merges,
        },
    }


def _beginning(tokenizer: Tokenizer) -> dict[str, Any]:
    """What puts the first token in front of a text, or of two."""
    assert tokenizer.bos is not None
    token = tokenizer.token_text(tokenizer.bos)
    first = {"SpecialToken": {"id": token, "type_id": 0}}
    texts = [{"Sequence": {"id": name, "type_id": i}} for i, name in enumerate("AB")]
    return {
        "type": "TemplateProcessing",
        "single": [first, texts[0]],
        "pair": [first, texts[0], {"SpecialToken": {"id": token, "type_id": 1}}, texts[1]],
        "special_tokens": {token: {"id": token, "ids": [tokenizer.bos], "tokens": [token]}},
    }


def _json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()
