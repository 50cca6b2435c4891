"""A spec may offer a choice that only the context of a run decides."""

from dataclasses import replace

from gadfly.spec import LongRope
from gadfly.testing import tiny_spec


def test_a_long_context_is_turned_by_other_divisors() -> None:
    plain = tiny_spec(context=128)
    rope = replace(plain.blocks[0].mixer.rope, scaling=(1.0,) * 8, long=LongRope(48, (4.0,) * 8))
    blocks = tuple(replace(block, mixer=replace(block.mixer, rope=rope)) for block in plain.blocks)
    spec = replace(plain, blocks=blocks)
    for context, divisor, limit in ((1, 1.0, 48), (48, 1.0, 48), (49, 4.0, 128), (128, 4.0, 128)):
        within = spec.within(context)
        assert within.context == limit, "what is turned for short texts takes no longer ones"
        assert all(block.mixer.rope == replace(rope, scaling=(divisor,) * 8, long=None) for block in within.blocks)


def test_other_models_do_not_care() -> None:
    assert tiny_spec().within(5) == tiny_spec()
