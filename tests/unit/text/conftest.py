"""Small vocabularies, made here from a few sentences of our own, and the real ones where the machine has them."""

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece
import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from gadfly.hub.library import Library
from gadfly.settings import home
from gadfly.text import Tokenizer

PROSE = [
    "A gadfly is a small thing that bites large things, so that they move. Socrates said that he was one, and",
    "that Athens was a horse: noble, slow and half asleep. The Athenians voted 280 to 221 that they'd rather",
    "sleep, which is what horses do. Whoever asks questions for a living shouldn't expect thanks; he should",
    "expect hemlock, and he'll get it with interest at 7 %. Das Pferd schläft übrigens weiter. Ce n'est pas",
    "grave, dit le taon, j'ai le temps. It's 2026, the horse is larger, and we've made the gadfly open: anybody",
    "may build one, bite with it, and see what happens next.",
    "def bite(horse): return horse.move() if horse.awake() else bite(horse)  # it'll wake up",
]

CONTROLS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
USER_DEFINED = ["<think>", "</think>", "    "]
NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = range(1, 7)


@pytest.fixture(scope="session")
def trained() -> tokenizers.Tokenizer:
    """Hugging Face's own idea of a tokenizer like SmolLM2's."""
    library = tokenizers.Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    library.train_from_iterator(
        PROSE, trainers.BpeTrainer(vocab_size=500, initial_alphabet=alphabet, show_progress=False)
    )
    library.add_special_tokens(CONTROLS)
    library.add_tokens(USER_DEFINED)
    library.decoder = tokenizers.decoders.ByteLevel()
    return library


@pytest.fixture(scope="session")
def byte_pair_metadata(trained: tokenizers.Tokenizer) -> dict[str, Any]:
    """The same as GGUF metadata."""
    model = json.loads(trained.to_str())["model"]
    size = trained.get_vocab_size()
    tokens = [trained.id_to_token(i) for i in range(size)]
    kinds = [CONTROL if t in CONTROLS else USER if t in USER_DEFINED else NORMAL for t in tokens]
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": np.array(kinds, np.int32),
        "tokenizer.ggml.merges": [" ".join(merge) for merge in model["merges"]],
        "tokenizer.ggml.bos_token_id": tokens.index("<|im_start|>"),
        "tokenizer.ggml.eos_token_id": tokens.index("<|im_end|>"),
        "tokenizer.ggml.add_bos_token": False,
    }


@pytest.fixture(scope="session")
def byte_pair(byte_pair_metadata: dict[str, Any]) -> Tokenizer:
    return Tokenizer.from_gguf(byte_pair_metadata)


@pytest.fixture(scope="session")
def sentence_piece_model() -> bytes:
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(PROSE),
        model_writer=written,
        vocab_size=440,
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        user_defined_symbols=["<sep>", "\n\n"],
        control_symbols=["<mark>"],
        minloglevel=2,
    )
    return written.getvalue()


@pytest.fixture(scope="session")
def sentence_piece_metadata(sentence_piece_model: bytes) -> dict[str, Any]:
    library = sentencepiece.SentencePieceProcessor(model_proto=sentence_piece_model)
    return pieces_as_metadata(library, {"<sep>", "\n\n"})


@pytest.fixture(scope="session")
def sentence_piece(sentence_piece_metadata: dict[str, Any]) -> Tokenizer:
    return Tokenizer.from_gguf(sentence_piece_metadata)


@pytest.fixture(scope="session", params=["byte_pair", "sentence_piece"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    """Each of the two kinds."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def smollm2() -> Tokenizer:
    path = Library(home()).resolve("smollm2")
    if path is None:
        pytest.skip("the default model is not here; run `make model`")
    return Tokenizer.from_file(path)


@pytest.fixture(scope="session")
def grok_1() -> Path:
    folder = Path(os.environ.get("GADFLY_TEST_DATA", "")) / "oracle" / "grok-1-tokenizer"
    if not folder.is_dir():
        pytest.skip("GADFLY_TEST_DATA does not lead to the Grok-1 tokenizer")
    return folder


@pytest.fixture(scope="session")
def grok_1_tokenizer(grok_1: Path) -> Tokenizer:
    return Tokenizer.from_file(grok_1 / "tokenizer.model")


@pytest.fixture(scope="session")
def grok_1_cases(grok_1: Path) -> list[tuple[list[int], str]]:
    """Ids and the text that sentencepiece makes of them."""
    lines = [
        *(grok_1 / "expected.jsonl").read_text().splitlines(),
        *(grok_1 / "decode_cases.jsonl").read_text().splitlines(),
    ]
    return [(case["ids"], case["decoded"]) for case in map(json.loads, lines)]


def pieces_as_metadata(library: sentencepiece.SentencePieceProcessor, user_defined: set[str]) -> dict[str, Any]:
    """What a converter writes into a GGUF file for a SentencePiece model."""
    ids = range(library.get_piece_size())
    tokens = [library.id_to_piece(i) for i in ids]

    def kind(i: int) -> int:
        tests = {UNKNOWN: library.is_unknown, CONTROL: library.is_control, BYTE: library.is_byte}
        found = [kind for kind, test in tests.items() if test(i)]
        return found[0] if found else USER if tokens[i] in user_defined else NORMAL

    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": np.array([library.get_score(i) for i in ids], np.float32),
        "tokenizer.ggml.token_type": np.array([kind(i) for i in ids], np.int32),
        "tokenizer.ggml.bos_token_id": library.bos_id(),
        "tokenizer.ggml.eos_token_id": library.eos_id(),
        "tokenizer.ggml.unknown_token_id": library.unk_id(),
        "tokenizer.ggml.add_space_prefix": True,
    }
