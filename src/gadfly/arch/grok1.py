"""Grok-1: xAI's mixture of experts of 314 billion weights, as released in March 2024.

What is peculiar: every block is a sandwich, normalised before each half *and* after it, ahead of the addition. Scores
of attention are scaled by a constant of their own and capped at ±30 by a tanh. Each token goes to 2 of 8 experts,
whose weights are the softmax over all eight as it is: they do not sum to one. The embedding is scaled up on its way in
and is also the output, whose logits are scaled down. GELU is the tanh approximation.

The release stores matrices as (in, out); attention's `linear` and the experts' `linear_1` were quantised in eight
slices of their input, so they have eight scales per output (see `gadfly.weight.Int8`). Experts' names do not say what
they are: `linear` is the gate, `linear_v` the way up, `linear_1` the way down. Files: `gadfly.arch.grok1_release`.
Source: xai-org/grok-1 (model.py, checkpoint.py), commit 7050ed2; the numbers are held to that code's in float32.
"""

from gadfly.arch.grok1_release import Hyperparameters
from gadfly.names import NameTable
from gadfly.spec import Attention, Block, ModelSpec, MoE, Rope, SandwichNorm
from gadfly.weight import Plain, Weight

__all__ = ["RELEASE_NAMES", "arrange_release", "release_spec"]

LAYER = "transformer/decoder_layer_{layer}"

RELEASE_NAMES = NameTable(
    {
        "embedding": "language_model/in_out_embed/embeddings",
        "norm": "language_model/rms_norm/scale",
        "blocks.{layer}.mixer_norm": f"{LAYER}/rms_norm/scale",
        "blocks.{layer}.mixer.query": f"{LAYER}/multi_head_attention/query/w",
        "blocks.{layer}.mixer.key": f"{LAYER}/multi_head_attention/key/w",
        "blocks.{layer}.mixer.value": f"{LAYER}/multi_head_attention/value/w",
        "blocks.{layer}.mixer.output": f"{LAYER}/multi_head_attention/linear/w",
        "blocks.{layer}.mixer_post_norm": f"{LAYER}/rms_norm_1/scale",
        "blocks.{layer}.ffn_norm": f"{LAYER}/rms_norm_2/scale",
        "blocks.{layer}.ffn.router": f"{LAYER}/router/w",
        "blocks.{layer}.ffn.gate": f"{LAYER}/moe/linear/w",
        "blocks.{layer}.ffn.up": f"{LAYER}/moe/linear_v/w",
        "blocks.{layer}.ffn.down": f"{LAYER}/moe/linear_1/w",
        "blocks.{layer}.ffn_post_norm": f"{LAYER}/rms_norm_3/scale",
    }
)


def release_spec(h: Hyperparameters) -> ModelSpec:
    block = Block(
        mixer=Attention(
            heads=h.num_q_heads,
            kv_heads=h.num_kv_heads,
            head_dim=h.key_size,
            rope=Rope(h.key_size, h.rope_base),
            scale=h.attn_output_multiplier,
            softcap=h.attn_logit_cap,
        ),
        ffn=MoE(h.num_experts, h.num_selected_experts, h.ffn_size, "gelu"),
        norms=SandwichNorm(h.rms_norm_eps),
    )
    return ModelSpec(
        vocab=h.vocab_size,
        dim=h.emb_size,
        context=h.sequence_len,
        blocks=(block,) * h.num_layers,
        norm_eps=h.rms_norm_eps,
        embedding_scale=h.embedding_multiplier_scale,
        logit_scale=h.output_multiplier_scale,
    )


def arrange_release(path: str, weight: Weight) -> Weight:
    """The router is stored (in, out) like every matrix; int8 ones say so themselves, float32 ones are turned."""
    if isinstance(weight, Plain) and path.endswith("router"):
        return Plain(weight.array.T.copy())
    return weight
