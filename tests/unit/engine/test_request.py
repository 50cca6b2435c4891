import pytest

from gadfly.completion import Sampling
from gadfly.engine import Request
from gadfly.errors import ContextError, RequestError


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Request(()), "the prompt is empty"),
        (Request((1, 10)), "token 1 of the prompt is 10; ids are whole numbers below 10"),
        (Request((-1,)), "token 0 of the prompt is -1"),
        (Request(("a",)), "token 0 of the prompt is 'a'"),
        (Request((1,), max_tokens=0), "max_tokens is 0"),
        (Request((1,), max_tokens=1.5), "max_tokens is 1.5"),
        (Request((1,), sampling=Sampling(logit_bias={10: 1.0})), "logit_bias names token 10"),
    ],
)
def test_what_cannot_run_is_refused(request_, message):
    with pytest.raises(RequestError, match=message):
        request_.validate(vocab=10, context=4)


def test_a_prompt_has_to_leave_room_for_an_answer():
    Request((1, 2, 3)).validate(vocab=10, context=4)
    with pytest.raises(ContextError, match=r"has 4 tokens, but the context holds 4 .* to 3 tokens"):
        Request((1, 2, 3, 4)).validate(vocab=10, context=4)
