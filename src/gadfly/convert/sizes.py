"""How large a new model is to be: what was asked for, the rest derived from its width, or taken from another model.

Sizes become hyperparameters under the names of config.json, which the architecture's page reads as it reads a file's;
so this module knows no architecture, and a size that a page has no use for is found out by looking at the spec.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from gadfly.arch import PAGES, Config, Page, grok1
from gadfly.arch.grok1_release import read_hyperparameters
from gadfly.arch.rope import describe_scaling
from gadfly.errors import RequestError
from gadfly.model.cost import Cost
from gadfly.spec import Dense, ModelSpec, Parallel
from gadfly.weights.hf_model import named_page, read_config
from gadfly.weights.load import open_model

__all__ = ["Pattern", "Sizes", "draw_up", "pattern_of", "plain_pattern", "sizes_for"]

KEYS: Mapping[str, tuple[str, ...]] = {
    "dim": ("hidden_size",),
    "layers": ("num_hidden_layers",),
    "heads": ("num_attention_heads",),
    "kv_heads": ("num_key_value_heads",),
    "head_dim": ("head_dim",),
    "hidden": ("intermediate_size", "moe_intermediate_size"),
    "experts": ("num_local_experts", "num_experts"),
    "selected": ("num_experts_per_tok",),
    "vocab": ("vocab_size",),
    "context": ("max_position_embeddings",),
}
COLUMN = 64  # of width for every layer, as in the models that are trained with one dial
DEEPEST = 256  # layers that `sizes_for` tries


@dataclass(frozen=True)
class Sizes:
    """None is what suits the others, or what the model has that is taken as the pattern."""

    dim: int | None = None
    layers: int | None = None
    heads: int | None = None
    kv_heads: int | None = None
    head_dim: int | None = None
    hidden: int | None = None  # width of a feed-forward, or of an expert
    experts: int | None = None
    selected: int | None = None  # experts per token
    vocab: int | None = None
    context: int | None = None

    def asked(self) -> dict[str, int]:
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Pattern:
    """What a new model is like where nothing else is asked for: an architecture, and hyperparameters of config.json."""

    page: Page
    values: Mapping[str, Any]
    tied: bool = True


def plain_pattern(name: str) -> Pattern:
    """No model but an architecture, by the name of its page."""
    return Pattern(next(page for page in PAGES if page.name == name), {})


def pattern_of(path: Path) -> Pattern:
    """A model, or nothing but its config.json. Raises ModelFileError for what cannot be read."""
    if path.name != "config.json":
        model = open_model(path)
        tied = model.weights["output"] is model.weights["embedding"]
        return _like(model.page, model.spec, model.metadata.get("config", {}), tied)
    stated = read_config(path, path.parent)
    if "emb_size" in stated:  # as it lies beside the files of Grok-1's release
        return _like(grok1.PAGE, grok1.release_spec(read_hyperparameters(path)), {}, True)
    config = Config(str(path), stated)
    page = named_page(config)
    return _like(page, page.spec(config), stated, config.flag("tie_word_embeddings", False))


def _like(page: Page, spec: ModelSpec, stated: Mapping[str, Any], tied: bool) -> Pattern:
    """What the spec says wins: a config.json may leave out what has to be known when something else changes."""
    return Pattern(page, {**stated, **page.describe(spec), **describe_scaling(spec.blocks[0].mixer.rope)}, tied)


def draw_up(pattern: Pattern, sizes: Sizes) -> ModelSpec:
    """The spec of a new model.

    Raises RequestError for sizes that contradict each other or mean nothing here, naming the flag that gives them.
    """
    asked = sizes.asked()
    values = {**_typical(asked, pattern.values), **pattern.values}
    values |= {key: value for name, value in asked.items() for key in KEYS[name]}
    _check(values)
    spec = pattern.page.spec(Config("the new model", values))
    for name, value in asked.items():
        if _measured(spec)[name] != value:
            raise RequestError(f"{_flag(name)} means nothing to the architecture {pattern.page.name}; leave it out")
    return spec


def sizes_for(pattern: Pattern, parameters: int, sizes: Sizes, tied: bool) -> Sizes:
    """With the depth, and the width that goes with it, that come closest to so many parameters."""
    if sizes.dim is not None or sizes.layers is not None:
        raise RequestError("--params chooses --dim and --layers; give one or the others")
    if pattern.values:
        raise RequestError("--params and --like both choose the sizes; give one of them")
    found = [replace(sizes, layers=depth, dim=COLUMN * depth) for depth in range(1, DEEPEST + 1)]
    return min(found, key=lambda size: abs(Cost.of(draw_up(pattern, size), tied).parameters - parameters))


def _typical(asked: Mapping[str, int], like: Mapping[str, Any]) -> dict[str, Any]:
    """Hyperparameters of every architecture, in proportion to the width; a page reads those that it knows."""

    def known(name: str, default: int) -> int:
        return int(asked.get(name, like.get(KEYS[name][0], default)))

    dim = known("dim", 256)
    head_dim = known("head_dim", _head_dim(dim))
    heads = known("heads", max(1, dim // head_dim))
    step = 256 if dim >= 256 else 32  # blocks of quantised rows
    chosen = {
        "dim": dim,
        "layers": max(2, dim // COLUMN),
        "heads": heads,
        "kv_heads": next(n for n in range(-(-heads // 4), heads + 1) if heads % n == 0),
        "head_dim": head_dim,
        "hidden": -(-8 * dim // (3 * step)) * step,
        "experts": 8,
        "selected": min(2, known("experts", 8)),
        "vocab": 32000,
        "context": 2048,
    }
    return {
        **{key: value for name, value in chosen.items() for key in KEYS[name]},
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "attn_output_multiplier": head_dim**-0.5,
        "embedding_multiplier_scale": dim**0.5,
        "output_multiplier_scale": 3**-0.5,
    }


def _head_dim(dim: int) -> int:
    if dim >= 2048 and dim % 128 == 0:
        return 128
    return next((size for size in (64, 32, 16) if dim % size == 0 and dim >= 4 * size), 8)


def _check(values: Mapping[str, Any]) -> None:
    dim, heads, kv_heads, head_dim, experts, selected = (
        values[KEYS[name][0]] for name in ("dim", "heads", "kv_heads", "head_dim", "experts", "selected")
    )
    if heads > dim:
        raise RequestError(f"--heads {heads} are more than the {dim} of the width; choose fewer, or a larger --dim")
    if heads % kv_heads:
        raise RequestError(f"--heads {heads} cannot share --kv-heads {kv_heads} evenly; choose a multiple")
    if head_dim % 2:
        raise RequestError(f"--head-dim is {head_dim}; it has to be even, as positions turn pairs of components")
    if selected > experts:
        raise RequestError(f"--selected {selected} is more than the {experts} experts there are; see --experts")


def _measured(spec: ModelSpec) -> dict[str, int | None]:
    """The sizes that a model has, by the names of `Sizes`."""
    mixer, ffn = spec.blocks[0].mixer, spec.blocks[0].ffn
    hidden, moe = (ffn.dense.hidden, ffn.moe) if isinstance(ffn, Parallel) else (ffn.hidden, ffn)
    return {
        "dim": spec.dim,
        "layers": len(spec.blocks),
        "heads": mixer.heads,
        "kv_heads": mixer.kv_heads,
        "head_dim": mixer.head_dim,
        "hidden": hidden,
        "experts": None if isinstance(moe, Dense) else moe.experts,
        "selected": None if isinstance(moe, Dense) else moe.selected,
        "vocab": spec.vocab,
        "context": spec.context,
    }


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
