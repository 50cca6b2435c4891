"""Grok-2: xAI's mixture of experts of 270 billion weights, released in August 2025 ("Grok 2.5").

Grok-1's sandwich with a dense feed-forward beside the experts: (dense + experts) / √2. What else is peculiar: each
token goes to 2 of 8 experts, whose weights are the softmax over all eight capped logits as it is; they do not sum to
one, and beside a dense branch that matters. Scores of queries beyond `attn_temperature_len` grow with the logarithm of
their position, after the cap. The logits are capped, too, and the output is a table of its own.

config.json calls itself "git" and names Grok-1's class: what tells the two apart is `residual_moe` and
`moe_intermediate_size`. The release cuts the experts into eight pieces each, one per rank: `gadfly.weights.assemble`.

Where the sources leave a question open, the choice here is that of SGLang, xAI's own path:
  · rope: `rope_type` is "original", which turns by plain frequencies. llama.cpp's converter takes it for a slip and
    writes YaRN keys; they are read as the plain rope that the reference computes. No published comparison settles it.
  · GELU: SGLang's GPU kernels use erf in both branches, though its code asks for tanh in one. Training used: unknown.
  · SGLang always caps the router at 30 and reads no key for it; here `router_logit_softcapping` counts, which says 30.
Sources: sgl-project/sglang, models/grok.py, commit 031ad4c, and the layers it calls; vllm-project/vllm, grok1.py,
commit 048a32c; for GGUF keys llama.cpp, conversion/grok.py, commit 7bca1fd.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gadfly.arch.decoder import (
    GGUF_EXPERTS,
    GGUF_NAMES,
    HF_IGNORED,
    HF_NAMES,
    describe_decoder,
    read_attention,
    read_decoder,
)
from gadfly.arch.grok1 import GGUF_FUSED, GGUF_NORMS, HF_NORMS, RELEASED, has_dense_branch, llama_cpp_notes
from gadfly.arch.mixtral import HF_EXPERTS
from gadfly.arch.page import Config, Dialect, Page
from gadfly.errors import UnsupportedError
from gadfly.names import NameTable
from gadfly.spec import Attention, Block, Dense, ModelSpec, MoE, Parallel, Rope, SandwichNorm

__all__ = ["PAGE", "as_llama_cpp"]

HEAD_DIM = 128  # if config.json does not say
ROPE_TYPES = ("original", "default", "none")  # and, in GGUF files, yarn


def read_spec(config: Config) -> ModelSpec:
    if (method := config.text("attn_logit_softcapping_method", "tanh")) != "tanh":
        raise UnsupportedError(f"{config.source}: scores are capped by {method[:40]!r}; supported is 'tanh'")
    width, experts = config.integer("intermediate_size"), config.integer("num_local_experts", high=4096)
    moe = MoE(
        experts=experts,
        selected=config.integer("num_experts_per_tok", high=experts),
        hidden=config.integer("moe_intermediate_size", width),
        activation="gelu_erf",
        router_softcap=limit(config, "router_logit_softcapping", 30.0),
    )
    ffn = Parallel(Dense(width, "gelu_erf"), moe, 0.5**0.5)
    eps = config.number("rms_norm_eps", high=1.0)
    return replace(
        read_decoder(config, read_mixer(config), ffn, SandwichNorm(eps)),
        embedding_scale=multiplier(config, "embedding_multiplier_scale"),
        logit_scale=multiplier(config, "output_multiplier_scale"),
        logit_softcap=limit(config, "final_logit_softcapping"),
    )


def read_mixer(config: Config) -> Attention:
    """Scores are scaled by head_dim^-½; only GGUF files may say otherwise."""
    mixer = read_attention(plain(config))
    if config.gguf is not None:
        mixer = replace(mixer, scale=multiplier(config, "attn_output_multiplier"))
    length = config.integer("attn_temperature_len", -1, low=-(2**24))
    if length == 1:
        raise config.error("attn_temperature_len", "2 or more, or -1 for none")
    return replace(
        mixer,
        softcap=limit(config, "attn_logit_softcapping", 30.0),
        temperature=length if length > 0 else None,
    )


def plain(config: Config) -> Config:
    """The file without what it says about stretching rope, which the reference does not do."""
    stated = config.within("rope_parameters") if config.gguf is None else config
    key, known = ("rope_type", ROPE_TYPES) if config.gguf is None else ("rope.scaling.type", (*ROPE_TYPES, "yarn"))
    kind = stated.text(key, config.text(key, "original"))
    if kind not in known or config.flag("rope_rotate_half_dims", False):
        raise UnsupportedError(
            f"{config.source}: Gadfly turns Grok-2's heads whole, by plain frequencies, not {kind!r}"
        )
    if config.gguf is not None:
        return replace(config, values={key: value for key, value in config.values.items() if ".scaling." not in key})
    theta = stated.number("rope_theta", config.number("rope_theta", 10000.0))
    return replace(config, values={"head_dim": HEAD_DIM, **config.values, "rope_theta": theta, "rope_parameters": None})


def multiplier(config: Config, name: str) -> float:
    """A config.json has to state it; in a GGUF file that does not, llama.cpp takes Grok-1's."""
    return config.number(name, getattr(RELEASED, name) if config.gguf is not None else None)


def limit(config: Config, name: str, default: float = 0.0) -> float | None:
    """A cap; zero and less mean none."""
    value = config.number(name, default, low=-1e12)
    return value if value > 0 else None


def describe(spec: ModelSpec) -> dict[str, Any]:
    """With whole experts, for SGLang; without `attn_output_multiplier`, by which vLLM would multiply something else."""
    mixer, ffn = spec.blocks[0].mixer, spec.blocks[0].ffn
    assert isinstance(ffn, Parallel)
    return {
        **describe_decoder(spec),
        "residual_moe": True,
        "load_presharded_moe": False,
        "intermediate_size": ffn.dense.hidden,
        "moe_intermediate_size": ffn.moe.hidden,
        "num_local_experts": ffn.moe.experts,
        "num_experts_per_tok": ffn.moe.selected,
        "attention_multiplier": mixer.scale,
        "attn_logit_softcapping": mixer.softcap or 0.0,
        "attn_temperature_len": mixer.temperature,
        "router_logit_softcapping": ffn.moe.router_softcap or 0.0,
        "final_logit_softcapping": spec.logit_softcap,
        "embedding_multiplier_scale": spec.embedding_scale,
        "output_multiplier_scale": spec.logit_scale,
    }


def within(part: str, names: Mapping[str, str]) -> dict[str, str]:
    """Names of a feed-forward that is a part of another: `blocks.0.ffn.gate` becomes `blocks.0.ffn.dense.gate`."""
    return {path.replace(".ffn.", f".ffn.{part}."): name for path, name in names.items()}


GGUF = {**GGUF_NORMS, "blocks.{layer}.ffn_post_norm": "blk.{layer}.post_ffw_norm.weight"}
ALIASES = {"blk.{layer}.layer_output_norm.weight": "blk.{layer}.post_ffw_norm.weight"}  # Grok-1's

PAGE = Page(
    name="grok2",
    gguf_name="grok",
    hf_name="Grok1ForCausalLM",
    model_type="git",
    spec=read_spec,
    describe=describe,
    gguf=Dialect(
        NameTable(
            within("dense", GGUF_NAMES), within("moe", GGUF_EXPERTS), GGUF, aliases=ALIASES, alternatives=GGUF_FUSED
        )
    ),
    hf=Dialect(
        NameTable(within("dense", HF_NAMES), within("moe", HF_EXPERTS), HF_NORMS), ignored=HF_IGNORED, ties=False
    ),
    claims=has_dense_branch,
    notes=llama_cpp_notes,
)


def as_llama_cpp(spec: ModelSpec, rope: Rope | None = None) -> ModelSpec:
    """What llama.cpp computes from a `grok` file of either generation: to compare with it, not to use.

    It makes the weights of the selected experts sum to one, caps no router, knows no temperature and takes the tanh
    approximation of GELU. `rope` replaces plain rope: for files with YaRN keys, as its converter writes them for the
    release, that of `gadfly.arch.rope.yarn`. Source: llama.cpp, src/models/grok.cpp, commit 0c1e570.
    """

    def theirs(block: Block) -> Block:
        mixer, ffn = replace(block.mixer, temperature=None, rope=rope or block.mixer.rope), block.ffn
        if isinstance(ffn, Parallel):
            ffn = replace(ffn, dense=replace(ffn.dense, activation="gelu"), moe=their_experts(ffn.moe))
        elif isinstance(ffn, MoE):
            ffn = their_experts(ffn)
        return replace(block, mixer=mixer, ffn=ffn)

    return replace(spec, blocks=tuple(map(theirs, spec.blocks)))


def their_experts(moe: MoE) -> MoE:
    return replace(moe, activation="gelu", router_softcap=None, renormalised=True)
