"""How many tokens a step has where experts are on disk: what reading them again costs beside room for them."""

import pytest

from gadfly.weights.streamed import STEPS, step_of

MB = 10**6
EXPERTS = 5_400 * MB


def step_bytes(tokens: int) -> int:
    return 530 * MB * tokens // 2048


def test_a_long_prompt_is_read_once_although_its_buffers_take_a_quarter_of_the_room() -> None:
    assert step_of(2_200 * MB, EXPERTS, step_bytes) == 2048


def test_buffers_take_half_of_the_room_at_most() -> None:
    assert step_of(1_060 * MB, EXPERTS, step_bytes) == 2048
    assert step_of(1_059 * MB, EXPERTS, step_bytes) == 1024
    assert step_of(0, EXPERTS, step_bytes) == STEPS[-1]  # whether that fits is for the caller to say


def test_nothing_is_read_again_where_shorter_steps_leave_room_for_all() -> None:
    assert step_of(EXPERTS + step_bytes(512), EXPERTS, step_bytes) == 512
    assert step_of(EXPERTS + step_bytes(2048), EXPERTS, step_bytes) == 2048


@pytest.mark.parametrize("left", range(200, 6_000, 400))
def test_none_is_cheaper(left: int) -> None:
    def cost(tokens: int) -> float:
        missing = max(0.0, 1 - (left * MB - step_bytes(tokens)) / EXPERTS)
        return (2048 / tokens) * missing * missing

    chosen = step_of(left * MB, EXPERTS, step_bytes)
    allowed = [tokens for tokens in STEPS if 2 * step_bytes(tokens) <= left * MB]
    assert cost(chosen) <= min(map(cost, allowed), default=cost(STEPS[-1])) + 1e-12
