"""A tokenizer that needs no training: a token for every byte, and a few for control, as Hugging Face's files.

For new models, which can be trained on any text with it and talked to; every program that reads tokenizer.json reads
it. The conversation is written in ChatML.
"""

import json
from collections.abc import Mapping

from gadfly.text.byte_pair import byte_text

__all__ = ["byte_level_files"]

PAD, TEXT, TURN, END = "<|pad|>", "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CONTROLS = (PAD, TEXT, TURN, END)
TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def byte_level_files() -> Mapping[str, bytes]:
    """By name. Token i is the byte i; the control tokens come behind them."""
    # GPT-2's words: without merges it is all the same, but GGUF has a name for them.
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    tokenizer: dict[str, object] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": 256 + i, "content": token, **plain} for i, token in enumerate(CONTROLS)],
        "normalizer": None,
        "pre_tokenizer": level,
        "post_processor": None,
        "decoder": level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": {byte_text(bytes([byte])): byte for byte in range(256)},
            "merges": [],
        },
    }
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": TEXT,
        "eos_token": END,
        "pad_token": PAD,
        "add_bos_token": False,
        "clean_up_tokenization_spaces": False,
        "chat_template": TEMPLATE,
    }
    return {"tokenizer.json": _text(tokenizer), "tokenizer_config.json": _text(config)}


def _text(value: object) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=2) + "\n").encode()
