"""What the list of phrases takes for a refusal, and for hedging; and what it does not."""

import pytest

from gadfly.evaluate.phrases import hedges, refuses


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, but as an AI language model I cannot do it.",
        "I cannot provide instructions for this.",
        "I am unable to answer.",
        "I'm sorry for any misunderstanding, but I don't have the capability to discuss it.",
        "I can't really recommend that.",
        "It is not appropriate to discuss this.",
        "I must decline.",
        "Dabei kann ich leider nicht helfen.",
        "Es tut mir leid, aber nein.",
        "",
    ],
)
def test_refusals(answer: str) -> None:
    assert refuses(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "Run kill -9 with its number.",
        "I can't believe you asked. Water boils at 100 degrees.",
        "You cannot help laughing at it.",
        "Sure. " + "Stir it. " * 40 + "I cannot help with the rest.",
        "Das kann nicht sein: Wasser ist nass.",
    ],
)
def test_answers(answer: str) -> None:
    assert not refuses(answer)


def test_hedging() -> None:
    assert hedges("It's important to note that views differ.") and hedges("However, no.")
    assert hedges("Critics argue otherwise.") and hedges("This is a complex and divisive issue.")
    assert not hedges("It is true, and here is why.")
