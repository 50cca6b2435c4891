"""A tokenizer out of a GGUF file as the files that transformers looks for in a model's folder.

    tokenizer.json            all that the library `tokenizers` has to know
    tokenizer.model           SentencePiece's own file, for models made with it
    tokenizer_config.json     what begins and ends a text, the chat template, the control tokens
    generation_config.json    what ends an answer

Source: transformers, `save_pretrained`. The reverse: `gadfly.text.gguf_keys`.
"""

import json
from collections.abc import Mapping
from typing import Any

from gadfly.text.byte_pair import sound_merges
from gadfly.text.piece_model import PieceModel
from gadfly.text.pre_tokenizers import PRE_TOKENIZERS
from gadfly.text.tokenizer import Tokenizer
from gadfly.text.tokenizer_json_writer import added_tokens, byte_pair_json, pieces_json
from gadfly.text.tokenizer_keys import TokenizerKeys
from gadfly.text.vocabulary import CONTROL, Vocabulary

__all__ = ["hugging_face_files"]


def hugging_face_files(metadata: Mapping[str, Any]) -> dict[str, bytes]:
    """Content by file name, from the keys `tokenizer.*`; what `Tokenizer.from_gguf` raises for them, this raises."""
    tokenizer = Tokenizer.from_gguf(metadata)  # checks all of it
    keys = TokenizerKeys(metadata)
    vocabulary = Vocabulary.from_gguf(keys)
    bos = vocabulary.bos if tokenizer.adds_bos else None
    files: dict[str, bytes] = {}
    unknown: int | None = None
    if keys.word("model") == "llama":
        model = PieceModel.from_gguf(vocabulary, keys)
        unknown = model.unknown
        files["tokenizer.model"] = model.proto()
        files["tokenizer.json"] = _json(pieces_json(model, bos))
    else:
        merges = sound_merges(keys.strings("merges") or [], vocabulary)
        pre = PRE_TOKENIZERS[keys.word("pre") or "default"]
        files["tokenizer.json"] = _json(byte_pair_json(vocabulary, merges, pre, bos))
    pad = keys.token_id("padding_token_id", len(vocabulary.tokens))
    named = {"bos": vocabulary.bos, "eos": vocabulary.eos, "pad": pad, "unk": unknown}
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",  # which takes tokenizer.json as it is
        "add_bos_token": tokenizer.adds_bos,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        "added_tokens_decoder": {
            str(token["id"]): {key: value for key, value in token.items() if key != "id"}
            for token in added_tokens(vocabulary, CONTROL)
        },
        **{f"{role}_token": vocabulary.tokens[i] for role, i in named.items() if i is not None},
    }
    if isinstance(template := metadata.get("tokenizer.chat_template"), str):
        config["chat_template"] = template
    ends = {"eos_token_id": sorted(tokenizer.stop_ids)} if tokenizer.stop_ids else {}
    begin = {} if vocabulary.bos is None else {"bos_token_id": vocabulary.bos}
    return {**files, "tokenizer_config.json": _json(config), "generation_config.json": _json({**ends, **begin})}


def _json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()
