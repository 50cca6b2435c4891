"""What a model says that is trained: the same as by its slow twin, which reads everything anew for every word."""

from dataclasses import replace
from pathlib import Path

import torch

from gadfly.answer import Prompts
from gadfly.batch import Batch, Span
from gadfly.model.transformer import forward
from gadfly.ops.torch import Torch
from gadfly.train.lora import LoraConfig
from gadfly.train.speech import spoken_ids
from gadfly.train.trainable import Trainable, with_adapter
from gadfly.weights.load import open_model

PROMPTS = [list(b"Rain"), list(b"It was a dark and stormy night"), list(b"?")]


def model(base: Path) -> tuple[Trainable, Prompts]:
    file, backend = open_model(base), Torch()
    made = with_adapter(replace(file.spec, context=40), file.weights.map(backend.place), LoraConfig(rank=2), 0, backend)
    with torch.no_grad():
        for parameter in made.parameters.values():
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) / 4)
    return made, Prompts.of(file)


def slowly(prompt: list[int], one: Trainable, most: int) -> list[int]:
    ids = list(prompt)
    while len(ids) < min(len(prompt) + most, one.spec.context):
        batch = Batch.of([Span(ids, 0, (), (len(ids) - 1,), (1.0,))])
        with torch.no_grad():
            ids.append(int(forward(one.spec, one.weights, batch, one.backend, None).argmax()))
    return ids[len(prompt) :]


def test_several_prompts_are_answered_together_as_each_alone(base: Path) -> None:
    one, prompts = model(base)
    assert prompts.tokenizer is not None
    prompts.tokenizer.stop_ids = frozenset()
    said = spoken_ids(PROMPTS, one, prompts.tokenizer, 12)
    assert said == [slowly(prompt, one, 12) for prompt in PROMPTS]
    assert [len(ids) for ids in said] == [12, 10, 12]  # the second is at the end of the context


def test_what_ends_a_turn_ends_an_answer_and_a_prompt_that_does_not_fit_has_none(base: Path) -> None:
    one, prompts = model(base)
    assert prompts.tokenizer is not None
    first = slowly(PROMPTS[0], one, 12)
    prompts.tokenizer.stop_ids = frozenset(first[3:4])
    threads = torch.get_num_threads()
    assert spoken_ids([PROMPTS[0], list(range(40))], one, prompts.tokenizer, 12) == [first[: first.index(first[3])], []]
    assert torch.get_num_threads() == threads and spoken_ids([], one, prompts.tokenizer, 12) == []
