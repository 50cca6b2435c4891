"""Which tensors a Grok-1 of given hyperparameters consists of, and in which of the release's files each lies.

    0 embedding | 1 final norm | then 12 of each layer, the layers in the order of their numbers as *strings*

which is the order of JAX's sorted dictionaries: 0, 1, 10, 11, ..., 19, 2, 20, ... The release keeps its hyperparameters
in code; here they come from a `config.json` beside the checkpoint, and without one they are the released model's.
How a file is read is known in `release_pickle`, what the tensors are for in `gadfly.arch`.
Source: xai-org/grok-1 (run.py, model.py, checkpoint.py), commit 7050ed2.
"""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

from gadfly.errors import ModelFileError

__all__ = ["Hyperparameters", "Layout", "config_json", "read_hyperparameters", "release_layout"]

LARGEST_CONFIG = 2**20  # bytes


@dataclass(frozen=True)
class Hyperparameters:
    """Under the names of the reference's configuration; the defaults are the released model's."""

    vocab_size: int = 131072
    sequence_len: int = 8192
    emb_size: int = 6144
    key_size: int = 128  # of a head
    num_q_heads: int = 48
    num_kv_heads: int = 8
    num_layers: int = 64
    widening_factor: float = 8.0
    num_experts: int = 8
    num_selected_experts: int = 2
    attn_output_multiplier: float = 0.08838834764831845  # of the attention's logits
    embedding_multiplier_scale: float = 78.38367176906169
    output_multiplier_scale: float = 0.5773502691896257
    attn_logit_cap: float = 30.0
    rms_norm_eps: float = 1e-5
    rope_base: float = 10000.0
    pad_token: int = 0
    eos_token: int = 2

    @property
    def ffn_size(self) -> int:
        """Width of an expert: two thirds of the widened embedding, rounded up to a multiple of 8."""
        return -(-(int(self.widening_factor * self.emb_size) * 2 // 3) // 8) * 8

    def check(self, source: Path) -> None:
        """Raises ModelFileError, naming `source`, unless every value is of its type and in its range."""
        for field in fields(self):
            value = getattr(self, field.name)
            integer = field.type is int
            low, high = RANGES.get(field.name, (1, 2**24) if integer else (1e-12, 1e12))
            if isinstance(value, bool) or not isinstance(value, int if integer else int | float):
                raise _error(source, field.name, value, "an integer" if integer else "a number")
            if not low <= value <= high:
                raise _error(source, field.name, value, f"{low} to {high}")
        if self.num_q_heads % self.num_kv_heads:
            raise _error(source, "num_q_heads", self.num_q_heads, f"a multiple of num_kv_heads, {self.num_kv_heads}")
        if not self.ffn_size:
            raise _error(source, "widening_factor", self.widening_factor, f"more, for an emb_size of {self.emb_size}")
        if self.key_size % 2:
            raise _error(source, "key_size", self.key_size, "an even number, for rotary position embedding")
        if self.num_selected_experts > self.num_experts:
            raise _error(source, "num_selected_experts", self.num_selected_experts, f"at most {self.num_experts}")


RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("num_layers", "num_experts", "num_q_heads", "num_kv_heads", "key_size"), (1, 4096)),
    "widening_factor": (0.01, 64),
    "pad_token": (0, 2**24),
    "eos_token": (0, 2**24),
}
OPTIONAL = {"attn_logit_cap", "rms_norm_eps", "rope_base", "pad_token", "eos_token"}  # constants of the reference


def read_hyperparameters(path: Path) -> Hyperparameters:
    """From a config.json. What the reference hard-codes may be missing; keys that are not known are left alone.

    Raises ModelFileError for what is missing, out of range or contradicts itself.
    """
    try:
        if not path.is_file():  # reading a pipe might never end
            raise ModelFileError(f"{path} is not a file; expected the config.json of a Grok-1")
        with path.open("rb") as file:
            text = file.read(LARGEST_CONFIG + 1)
        if len(text) > LARGEST_CONFIG:
            raise ModelFileError(f"{path} has more than {LARGEST_CONFIG} bytes; expected the config.json of a Grok-1")
        config = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFileError(f"{path} cannot be read as JSON: {_brief(str(error))}; correct it") from error
    if not isinstance(config, dict):
        raise ModelFileError(f"{path} holds no object; expected the hyperparameters of a Grok-1, by name")
    names = [field.name for field in fields(Hyperparameters)]
    if missing := [name for name in names if name not in config and name not in OPTIONAL]:
        raise ModelFileError(f"{path} lacks {', '.join(missing)}; expected the hyperparameters of a Grok-1")
    hyperparameters = Hyperparameters(**{name: config[name] for name in names if name in config})
    hyperparameters.check(path)
    width = hyperparameters.ffn_size
    if (said := config.get("ffn_size", width)) != width:
        raise _error(path, "ffn_size", said, f"{width}, which emb_size and widening_factor make")
    if (tied := config.get("tied_embeddings", True)) is not True:
        raise _error(path, "tied_embeddings", tied, "true: the release has one table for both")
    return hyperparameters


def config_json(hyperparameters: Hyperparameters) -> str:
    """The text of the config.json that `read_hyperparameters` reads."""
    config = asdict(hyperparameters) | {"ffn_size": hyperparameters.ffn_size, "tied_embeddings": True}
    return json.dumps(config, indent=1) + "\n"


def _error(source: Path, key: str, value: object, expected: str) -> ModelFileError:
    return ModelFileError(f"{source}: {key} is {_brief(repr(value))}; expected {expected}")


def _brief(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."


@dataclass(frozen=True)
class Layout:
    """One tensor of the release, weights as (…, in, out). "int8" ones have scales beside them, (…, groups, out)."""

    index: int  # the number in the name of its file
    name: str
    kind: Literal["int8", "float32"]
    shape: tuple[int, ...]

    @property
    def file_name(self) -> str:
        return f"tensor{self.index:05d}_000"  # 000: the host, of which the release has one


def release_layout(hyperparameters: Hyperparameters) -> list[Layout]:
    """All tensors, in the order of the files: 2 + 12 · layers."""
    h = hyperparameters
    dim, width, experts = h.emb_size, h.ffn_size, h.num_experts
    query, key = h.num_q_heads * h.key_size, h.num_kv_heads * h.key_size
    layer: list[tuple[str, Literal["int8", "float32"], tuple[int, ...]]] = [
        ("moe/linear/w", "int8", (experts, dim, width)),  # gate
        ("moe/linear_1/w", "int8", (experts, width, dim)),  # down
        ("moe/linear_v/w", "int8", (experts, dim, width)),  # up
        ("multi_head_attention/key/w", "int8", (dim, key)),
        ("multi_head_attention/linear/w", "int8", (query, dim)),  # output
        ("multi_head_attention/query/w", "int8", (dim, query)),
        ("multi_head_attention/value/w", "int8", (dim, key)),
        ("rms_norm/scale", "float32", (dim,)),
        ("rms_norm_1/scale", "float32", (dim,)),
        ("rms_norm_2/scale", "float32", (dim,)),
        ("rms_norm_3/scale", "float32", (dim,)),
        ("router/w", "float32", (dim, experts)),
    ]
    tensors = [
        Layout(0, "language_model/in_out_embed/embeddings", "float32", (h.vocab_size, dim)),
        Layout(1, "language_model/rms_norm/scale", "float32", (dim,)),
    ]
    for number in sorted(map(str, range(h.num_layers))):
        for name, kind, shape in layer:
            tensors.append(Layout(len(tensors), f"transformer/decoder_layer_{number}/{name}", kind, shape))
    return tensors
