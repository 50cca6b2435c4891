"""Teach a voice by what is preferred, and hold the model to what it says of plain questions.

    python hold.py hold.toml OUT

learns an adapter from the conversations of the recipe with their plain twins, and from plain.txt, whose questions the
base answers itself, first of all. What is made small, per token and in nats:

    said       −log p of the witty answer
    preferred  softplus of how much less likely it is than its plain twin (Meng et al., arXiv 2405.14734)
    kept       the divergence of the base's next word from the voice's, KL(base ‖ voice), along the base's own answers

In bfloat16 but for the numbers that are learnt: with AMX, matrices are multiplied six times as fast that way.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from gadfly.answer import Prompts
from gadfly.conversation import Message
from gadfly.evaluate.question import Asking
from gadfly.evaluate.subject import Manner, Subject
from gadfly.hub.library import Library
from gadfly.llm import LLM
from gadfly.model.transformer import embedded, finished, through
from gadfly.ops.native import Native
from gadfly.ops.torch import Torch
from gadfly.settings import available_processors, home
from gadfly.train.data.chats import Lesson
from gadfly.train.data.sample import Sample, sample
from gadfly.train.lora import Factors, adapted, first_adapted, fresh_factors
from gadfly.train.loss import token_losses
from gadfly.train.objective import sequence_sums
from gadfly.train.packing import Pack, pack
from gadfly.train.recipe import Recipe, read_recipe
from gadfly.weight import Weights
from gadfly.weights.adapter_writer import write_adapter
from gadfly.weights.likeness import likeness
from gadfly.weights.load import open_model
from gadfly.weights.low_rank import Adapter, Pair

T = TypeVar("T")

HERE = Path(__file__).parent
SHORT = 130  # tokens of a lesson, of two in a pair
KEPT_AT_ONCE = 9  # beside a batch of what is taught
SAID, PREFERRED, KEPT = 1.0, 2.0, 4.0  # what they weigh
MARGIN, SOFT = 0.6, 0.3  # nats per token that are enough, and how sharply
PACK = 1400  # tokens


@dataclass(frozen=True)
class Material:
    """`taught` are pairs, witty and plain, or single answers; `kept` are the base's own."""

    taught: list[tuple[Sample, ...]]
    kept: list[Sample]

    @property
    def sequences(self) -> list[Sample]:
        return [*(one for each in self.taught for one in each), *self.kept]


class Stack:
    """The base in bfloat16, and beside its upper layers an adapter whose own numbers are float32."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        file = open_model(Library(home()).require(recipe.base))
        self.spec, self.page, self.likeness = file.spec, file.page, likeness(file.spec, file.weights)
        self._ops = Torch(dtype=torch.bfloat16)
        self._base = file.weights.map(self._ops.place)
        file.release()
        self.output = self._base["output"]
        factors = fresh_factors(self.spec, recipe.lora, recipe.plan.seed)
        self.learnt = {f"{path}.{name}": getattr(one, name) for path, one in factors.items() for name in ("down", "up")}
        self.used = {name: one.detach().bfloat16().requires_grad_() for name, one in self.learnt.items()}
        self._adapted = adapted(
            self._base,
            {path: Factors(self.used[f"{path}.down"], self.used[f"{path}.up"]) for path in factors},
            recipe.lora.scale,
        )
        self._first = first_adapted(self.spec, recipe.lora)
        self._below: dict[Sample, Tensor] = {}  # what the layers below the adapter make of it
        self._before: dict[Sample, Tensor] = {}  # what the base's last layer makes of it, where something is learnt

    def read(self, sequences: Sequence[Sample]) -> Iterator[int]:
        """Keep what the base makes of these, pack by pack; says how many have been read."""
        layers, waiting = range(self._first), list(sequences)
        while waiting:
            part = [waiting.pop()]
            while waiting and sum(map(len, part)) + len(waiting[-1]) <= PACK:
                part.append(waiting.pop())
            packed = _packed(part)
            with torch.no_grad():
                x = embedded(self.spec, self._base, packed.batch, self._ops)
                x = through(layers, x, self.spec, self._base, packed.batch, self._ops, None)
                last = self._above(x, packed, self._base)
            for one, below in zip(part, torch.split(x, [len(one) - 1 for one in part]), strict=True):
                self._below[one] = below.clone()
            for one, before in zip(part, torch.split(last, list(packed.learnt)), strict=True):
                self._before[one] = before.clone()
            yield len(part)

    def losses(self, part: Sequence[Sample]) -> Tensor:
        """Nats per token of each: (sequences,)."""
        packed = _packed(part)
        hidden = self._voiced(packed)
        targets = torch.from_numpy(packed.targets).long()
        losses = token_losses(hidden, self.output, targets, torch.from_numpy(packed.weights), self.spec)
        return sequence_sums(packed, losses) / torch.tensor(packed.learnt)

    def drift(self, part: Sequence[Sample]) -> Tensor:
        """KL(base ‖ voice) of the next word, the mean of the means over each sequence."""
        packed = _packed(part)
        now = F.linear(self._voiced(packed), self.output).float().log_softmax(-1)
        before = F.linear(torch.cat([self._before[one] for one in part]), self.output).float().log_softmax(-1)
        each = (before.exp() * (before - now)).sum(-1)
        return torch.stack([one.mean() for one in torch.split(each, list(packed.learnt))]).mean()

    def adapter(self) -> Adapter:
        numbers = {name: one.detach().numpy() for name, one in self.learnt.items()}
        paths = [name.removesuffix(".down") for name in numbers if name.endswith(".down")]
        facts = {"format": "gadfly-adapter", "version": 1, "base": self.recipe.base, "likeness": self.likeness}
        pairs = {path: Pair(numbers[f"{path}.down"], numbers[f"{path}.up"]) for path in paths}
        return Adapter(pairs, self.recipe.lora.scale, facts)

    def _voiced(self, packed: Pack) -> Tensor:
        return self._above(torch.cat([self._below[one] for one in packed.sequences]), packed, self._adapted)

    def _above(self, x: Tensor, packed: Pack, weights: Weights) -> Tensor:
        layers = range(self._first, len(self.spec.blocks))
        x = through(layers, x, self.spec, weights, packed.batch, self._ops, None)
        return finished(x, self.spec, weights, packed.batch, self._ops)


def material(stack: Stack, prompts: Prompts, said: Sequence[tuple[str, str]]) -> Material:
    """`said` are questions, and what the base says to them."""
    rows = [json.loads(line) for line in stack.recipe.train_files[0].read_text().splitlines()]
    first = Message("system", rows[0]["messages"][0]["content"])
    taught: list[tuple[Sample, ...]] = []
    kept = [_last(prompts, (first, Message("user", one), Message("assistant", answer))) for one, answer in said]
    for row in rows:
        lesson = Lesson(tuple(Message(one["role"], one["content"]) for one in row["messages"]), ())
        kind, turns = row["meta"]["kind"], lesson.messages
        if kind == "wit":
            plain = (*turns[:2], Message("assistant", row["plain"][0]))
            taught.append((_last(prompts, turns[:3]), _last(prompts, plain)))
        elif kind == "replay":
            kept += [_last(prompts, turns[:end]) for end in range(3, len(turns) + 1, 2)]
        else:
            taught += [(_last(prompts, turns[:end]),) for end in range(3, len(turns) + 1, 2)]
    return Material([one for one in taught if sum(map(len, one)) <= SHORT * len(one)], kept)


def _last(prompts: Prompts, messages: Sequence[Message]) -> Sample:
    """Of whose last message is learnt."""
    learnt = (*(False for _ in messages[1:]), True)
    return sample(Lesson(tuple(messages), learnt), prompts, 1024)


def _packed(part: Sequence[Sample]) -> Pack:
    return pack([(one,) for one in part], range(len(part)))


def main() -> None:
    place, out = map(Path, sys.argv[1:])
    torch.set_num_threads(available_processors())
    stack = Stack(read_recipe(place))
    file = open_model(Library(home()).require(stack.recipe.base))
    llm = LLM(file, file.spec, Native(available_processors()), 1024, contexts=8)
    system = json.loads(stack.recipe.train_files[0].read_text().splitlines()[0])["messages"][0]["content"]
    asked = (HERE / "plain.txt").read_text().splitlines()
    questions = [Asking(one, (Message("user", one),), tokens=48) for one in asked]
    answers = Subject(llm, Manner(system=system)).outcomes(questions)
    said = [(one, found["said"]) for one, (_, found) in zip(asked, answers, strict=True) if found["said"].strip()]
    found = material(stack, Prompts.of(file), said)
    print(f"{len(found.taught)} to say, {len(found.kept)} to keep", flush=True)
    done = 0
    for count in stack.read(found.sequences):
        done += count
        print(f"{done} of {len(found.sequences)} read", end="\r", flush=True)
    learn(stack, found)
    write_adapter(out, stack.adapter(), stack.page, stack.recipe.base)


def learn(stack: Stack, found: Material) -> None:
    plan = stack.recipe.plan
    optimiser = torch.optim.AdamW(list(stack.learnt.values()), betas=(0.9, 0.99), weight_decay=plan.weight_decay)
    steps = plan.steps(len(found.taught))
    taught, kept = (
        _lots(each, size, steps, plan.seed) for each, size in ((found.taught, plan.batch), (found.kept, KEPT_AT_ONCE))
    )
    for step, (lot, own) in enumerate(zip(taught, kept, strict=True)):
        optimiser.param_groups[0]["lr"] = plan.rate(step, steps)
        for one in stack.used.values():
            one.grad = None
        loss, margins = torch.zeros(()), []
        losses = iter(stack.losses([one for each in lot for one in each]))
        for each in lot:
            witty, *plain = (next(losses) for _ in each)
            loss = loss + SAID * witty
            for one in plain:
                margins.append(float((one - witty).detach()))
                loss = loss + PREFERRED * SOFT * F.softplus((MARGIN - one + witty) / SOFT)
        (loss / len(lot)).backward()
        drift = stack.drift(own)
        (KEPT * drift).backward()
        for name, one in stack.learnt.items():
            one.grad = stack.used[name].grad.float()
        torch.nn.utils.clip_grad_norm_(list(stack.learnt.values()), plan.clip)
        optimiser.step()
        with torch.no_grad():
            for name, one in stack.used.items():
                one.copy_(stack.learnt[name])
        print(f"step {step + 1}/{steps}  margin {np.mean(margins):.3f}  drift {float(drift.detach()):.4f}", flush=True)


def _lots(found: Sequence[T], size: int, count: int, seed: int) -> Iterator[list[T]]:
    """So many lots of `size`, from one shuffle after the other."""
    generator, waiting = np.random.default_rng(seed), list[T]()
    for _ in range(count):
        while len(waiting) < size:
            waiting += [found[number] for number in generator.permutation(len(found))]
        yield waiting[:size]
        del waiting[:size]


if __name__ == "__main__":
    main()
