"""Models for tests: scripted ones, which say what they are told to, and tiny real ones with random weights.

`ScriptedModel` and `scripted_engine` answer through real pages and batches; `ByteTokenizer` needs no file; `tiny_spec`
and `random_weights` make a real model of a few thousand numbers, `tiny_specs` one of every kind.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from gadfly.batch import Batch, Ints
from gadfly.engine import Engine
from gadfly.ops import Floats
from gadfly.quant import encode
from gadfly.spec import Attention, Block, Dense, LongRope, ModelSpec, MoE, Parallel, PreNorm, Rope, SandwichNorm
from gadfly.text.tokenizer import Tokenizer
from gadfly.text.utf8 import decode_utf8
from gadfly.weight import Int8, Plain, Quantised, Weight, Weights
from gadfly.weights.adapted import is_adaptable
from gadfly.weights.adapter import Adapter, Pair

__all__ = [
    "ByteTokenizer",
    "ScriptedModel",
    "noise",
    "random_adapter",
    "random_weights",
    "reciting",
    "scripted_engine",
    "tiny_spec",
    "tiny_specs",
]

Predict = Callable[[Sequence[int]], Floats]  # tokens so far to logits (vocab,)


class ByteCodec:
    """One token per byte of UTF-8, and two control tokens without text; for `ByteTokenizer`."""

    size = 258
    controls = ("<|im_start|>", "<|im_end|>")

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def decode(self, ids: Sequence[int]) -> str:
        return decode_utf8(b"".join(map(self.token_bytes, ids)), final=True)[0]

    def token_text(self, token: int) -> str:
        return self.controls[token - 256] if token >= 256 else chr(token)

    def token_bytes(self, token: int) -> bytes:
        return bytes([token]) if token < 256 else b""

    def is_fragment(self, token: int) -> bool:
        return 128 <= token < 256


class ByteTokenizer(Tokenizer):
    """A tokenizer without a file: bytes are their own ids, 256 begins a text or a turn, 257 ends it (as in ChatML)."""

    def __init__(self) -> None:
        codec = ByteCodec()
        start, end = range(256, codec.size)
        super().__init__(codec, dict(zip(codec.controls, (start, end), strict=True)), start, end, {end})


class ScriptedModel:
    """A model whose logits are any function of the tokens so far; `step` is what an engine wants.

    It finds those tokens in its pages, as a real model finds keys and values. A slot remembers all that it was computed
    from, so a lost page, a wrong position or a page of another prefix raises AssertionError.
    """

    def __init__(self, predict: Predict, vocab: int, pages: int, page_size: int) -> None:
        self.batches: list[Batch] = []  # every step so far
        self._predict = predict
        self._vocab = vocab
        self._slots = [[(-1, 0)] * page_size for _ in range(pages)]  # token, hash of it and all before it

    def step(self, batch: Batch) -> Floats:
        self.batches.append(batch)
        logits = np.empty((len(batch.rows), self._vocab), np.float32)
        bounds = zip(batch.starts, batch.starts[1:], batch.page_starts, batch.page_starts[1:], strict=False)
        for first, last, first_page, last_page in bounds:
            pages = batch.page_ids[first_page:last_page]
            tokens, digest = self._read(pages, int(batch.positions[first]))
            for row in range(first, last):
                assert batch.positions[row] == len(tokens), "positions of a sequence are not consecutive"
                tokens.append(int(batch.tokens[row]))
                digest = hash((digest, tokens[-1]))
                page, slot = divmod(len(tokens) - 1, len(self._slots[0]))
                self._slots[pages[page]][slot] = tokens[-1], digest
                logits[batch.rows == row] = self._predict(tokens)
        return logits

    def _read(self, pages: Ints, length: int) -> tuple[list[int], int]:
        tokens, digest = [], 0
        for position in range(length):
            page, slot = divmod(position, len(self._slots[0]))
            token, found = self._slots[pages[page]][slot]
            digest = hash((digest, token))
            assert found == digest, f"slot {slot} of page {pages[page]} does not hold position {position} of this text"
            tokens.append(token)
        return tokens, digest


def noise(vocab: int, seed: int = 0) -> Predict:
    """Logits drawn from a normal distribution, different for every text and the same for the same."""

    def predict(tokens: Sequence[int]) -> Floats:
        return np.random.default_rng([seed, *tokens]).normal(size=vocab).astype(np.float32)

    return predict


def reciting(reply: Sequence[int], stop: int, vocab: int) -> Predict:
    """Logits 0, and 20 for the next token of `reply`, which `stop` follows.

    How much of it has been said is read from the end of the text: prompts must not end with the beginning of the reply.
    """
    script = [*reply, stop]

    def predict(tokens: Sequence[int]) -> Floats:
        said = max(n for n in range(len(script)) if list(tokens[len(tokens) - n :]) == script[:n])
        logits = np.zeros(vocab, np.float32)
        logits[script[said]] = 20
        return logits

    return predict


def scripted_engine(reply: str, context: int = 4096, page_size: int = 16, step_tokens: int = 512) -> Engine:
    """An engine over the `ByteTokenizer`'s ids that answers every prompt with `reply` and ends its turn."""
    tokenizer, pages = ByteTokenizer(), -(-context // page_size)
    (stop,) = tokenizer.stop_ids
    model = ScriptedModel(reciting(tokenizer.encode(reply), stop, ByteCodec.size), ByteCodec.size, pages, page_size)
    return Engine(model.step, ByteCodec.size, context, pages, page_size, step_tokens)


def tiny_spec(vocab: int = ByteCodec.size, dim: int = 64, context: int = 128) -> ModelSpec:
    """Two layers of a llama. `dim` is a multiple of 32, or of 256 for formats with blocks of that size."""
    rope = Rope(dim=dim // 4, theta=10000.0)
    mixer = Attention(heads=4, kv_heads=2, head_dim=dim // 4, rope=rope, scale=(dim // 4) ** -0.5)
    block = Block(mixer, Dense(hidden=2 * dim, activation="silu"), PreNorm(eps=1e-5))
    return ModelSpec(vocab=vocab, dim=dim, context=context, blocks=(block, block), norm_eps=1e-5)


def tiny_specs() -> dict[str, ModelSpec]:
    """A model like each family that Gadfly knows, of two layers: together they use every field of a spec.

    Caps are so low that they matter, and what depends on length does so within 90 tokens.
    """
    llama = tiny_spec()
    block, attention = llama.blocks[0], llama.blocks[0].mixer
    sandwich, turned = SandwichNorm(eps=1e-5), Rope(dim=16, theta=1e6, scaling=(8.0,) * 8)
    long = LongRope(context=64, scaling=(4.0,) * 8)
    phi = Rope(dim=16, theta=10000.0, scaling=(*(1.0,) * 3, 2.0, 3.0, *(4.0,) * 3), magnitude=1.1386, long=long)
    local = replace(attention, window=20, head_norm=1e-6)
    gemma = Block(local, Dense(128, "gelu"), SandwichNorm(eps=1e-6))
    gemma_global = replace(gemma, mixer=replace(local, window=None, rope=turned))
    grok_1 = Block(replace(attention, softcap=1.5), MoE(4, 2, 96, "gelu"), sandwich)
    both = Parallel(Dense(128, "gelu_erf"), MoE(4, 2, 64, "gelu_erf", router_softcap=0.5), 0.5**0.5)
    grok_2 = Block(replace(attention, softcap=1.5, temperature=16), both, sandwich)
    return {
        "llama": llama,
        "phi-3": _alike(llama, replace(block, mixer=replace(attention, rope=phi))),
        "qwen-2": _alike(llama, replace(block, mixer=replace(attention, bias=True))),
        "qwen-3": _alike(llama, replace(block, mixer=replace(attention, head_dim=24, head_norm=1e-6))),
        "gemma-3": replace(llama, blocks=(gemma, gemma_global), embedding_scale=8.0),
        "mixtral": _alike(llama, replace(block, ffn=MoE(4, 2, 96, "silu", renormalised=True))),
        "grok-1": replace(_alike(llama, grok_1), embedding_scale=8.0, logit_scale=0.577),
        "grok-2": replace(_alike(llama, grok_2), embedding_scale=8.0, logit_scale=0.577, logit_softcap=1.0),
    }


def _alike(spec: ModelSpec, block: Block) -> ModelSpec:
    return replace(spec, blocks=(block,) * len(spec.blocks))


def random_weights(spec: ModelSpec, seed: int = 0, format: str = "F32") -> Weights[Weight]:  # noqa: A002
    """Weights of every shape in `spec`, normally distributed so that activations keep their size.

    Matrices and stacks of them are encoded in `format`, a key of `gadfly.quant.FORMATS` that can be written, or "I8"
    for `gadfly.weight.Int8`; F32 leaves them plain, and routers are always plain, as in files.
    """
    random = np.random.default_rng(seed)
    weights: dict[str, Weight] = {}
    for path, shape in spec.shapes():
        values = random.normal(size=shape).astype(np.float32)
        if len(shape) == 1:
            weights[path] = Plain(values / np.float32(10) + np.float32(not path.endswith("bias")))
            continue
        matrix = values / np.float32(shape[-1] ** 0.5)
        weights[path] = _in_format("F32" if path.endswith("router") else format, matrix)
    return Weights(weights)


def random_adapter(spec: ModelSpec, seed: int, rank: int = 4, experts: bool = False) -> Adapter:
    """Of every matrix that can have one; what it adds is about a tenth as large as `random_weights` are.

    Of those of experts only with `experts`.
    """
    random = np.random.default_rng(seed)
    pairs = {}
    for path, shape in spec.shapes():
        if is_adaptable(spec, path) and (experts or len(shape) == 2):
            *stack, rows, columns = shape
            down, up = random.normal(size=(*stack, rank, columns)), random.normal(size=(*stack, rows, rank))
            pairs[path] = Pair((down / columns**0.5).astype(np.float32), up.astype(np.float32))
    return Adapter(pairs, 0.1 / rank**0.5)


def _in_format(name: str, matrix: Floats) -> Weight:
    """A matrix, or a stack of them."""
    if name == "F32":
        return Plain(matrix)
    if name == "I8":
        scales = (np.abs(matrix).max(-1) / 127).view(np.uint32) + 0xFFFF >> 16  # rounded up: no code beyond 127
        codes = np.rint(matrix / (scales << 16).view(np.float32)[..., None]).astype(np.int8)
        return Int8(np.ascontiguousarray(np.swapaxes(codes, -1, -2)), scales[..., None, :].astype(np.uint16))
    return Quantised(name, matrix.shape, encode(name, matrix.reshape(-1, matrix.shape[-1])))
