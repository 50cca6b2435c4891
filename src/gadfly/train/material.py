"""What a run learns from, or is judged by: the files of a recipe, as the objective that its method asks for.

sft     conversations            whose marked answers are learnt
distil  conversations            learnt from what their teacher found likely, too
text    plain texts              learnt whole
dpo     pairs of answers         of which one is better
kto     answers with a thumb     up or down
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from gadfly.answer import Prompts
from gadfly.conversation import Message
from gadfly.errors import RequestError, UnsupportedError
from gadfly.lines import Problem
from gadfly.train.data.alphabet import Alphabet
from gadfly.train.data.chats import Lesson, read_lessons
from gadfly.train.data.preferences import Preference, read_preferences, read_thumbs
from gadfly.train.data.sample import Sample, sample
from gadfly.train.data.texts import pieces, read_documents
from gadfly.train.objective import Objective, Supervised
from gadfly.train.preferred import Judged, Liked, Pair, PreferenceConfig, Preferred

__all__ = ["METHODS", "Material", "read_material"]


class Line(Protocol):
    @property
    def line(self) -> int: ...


T = TypeVar("T", bound=Line)
S = TypeVar("S")

METHODS = ("sft", "distil", "text", "dpo", "kto")

Told = Callable[[Path, Problem], None]


@dataclass(frozen=True, eq=False)
class Material:
    """`digest` stands for all that an objective holds."""

    objective: Objective
    digest: str


def read_material(
    method: str, files: Sequence[Path], prompts: Prompts, longest: int, config: PreferenceConfig, told: Told
) -> Material:
    """What cannot be learnt is told and left out. Raises NotFoundError or RequestError for files that cannot be read.

    Conversations longer than `longest` tokens are cut, texts are cut into pieces, and judgements are left out.
    """
    if method in ("sft", "distil", "text"):
        if method == "distil":
            alphabet = _alphabet(prompts)
            samples = list(_each(files, read_lessons, lambda one: [_taught(one, prompts, longest, alphabet)], told))
        elif method == "sft":
            samples = list(_each(files, read_lessons, lambda one: [sample(one, prompts, longest)], told))
        else:
            samples = list(_each(files, read_documents, lambda one: pieces(one, prompts, longest), told))
        return Material(Supervised(samples), _digest(samples, []))
    if method == "dpo":
        pairs = list(_each(files, read_preferences, lambda one: [_pair(one, prompts, longest)], told))
        samples = [one for pair in pairs for one in (pair.chosen, pair.rejected)]
        return Material(Preferred(pairs, config), _digest(samples, [pair.weight for pair in pairs]))
    thumbs = list(
        _each(files, read_thumbs, lambda one: [(one, _answered(one.prompt, one.reply, prompts, longest))], told)
    )
    judged = []
    for (thumb, reply), (following, _) in zip(thumbs, thumbs[1:] + thumbs[:1], strict=True):
        other = sample(_last(thumb.prompt, following.reply), prompts, longest)
        judged.append(Judged(reply, other, thumb.label, thumb.weight))
    return Material(
        Liked(judged, config), _digest([one.reply for one in judged], [one.weight * one.sign for one in judged])
    )


def _each(
    files: Sequence[Path],
    read: Callable[[Path], Iterator[T | Problem]],
    make: Callable[[T], Iterable[S]],
    told: Told,
) -> Iterator[S]:
    for file in files:
        for found in read(file):
            if isinstance(found, Problem):
                told(file, found)
                continue
            try:
                yield from make(found)
            except RequestError as error:
                told(file, Problem(found.line, str(error)))


def _alphabet(prompts: Prompts) -> Alphabet:
    if prompts.tokenizer is None:
        raise UnsupportedError(f"{prompts.name} has no tokenizer, so nobody can teach it; add the one it was made for")
    return Alphabet(prompts.name, prompts.tokenizer)


def _taught(lesson: Lesson, prompts: Prompts, longest: int, alphabet: Alphabet) -> Sample:
    if not lesson.likely:
        raise RequestError(
            "it does not say what its teacher found likely; gadfly data synth --logprobs keeps that, and "
            'method = "sft" learns without it'
        )
    return sample(lesson, prompts, longest, alphabet)


def _pair(one: Preference, prompts: Prompts, longest: int) -> Pair:
    chosen, rejected = (_answered(one.prompt, answer, prompts, longest) for answer in (one.chosen, one.rejected))
    return Pair(chosen, rejected, one.weight)


def _answered(prompt: tuple[Message, ...], answer: Message, prompts: Prompts, longest: int) -> Sample:
    """A conversation whose last message is judged, whole."""
    one = sample(_last(prompt, answer), prompts, longest + 1)
    if len(one) > longest:
        raise RequestError(f"it is longer than {longest} tokens, and half an answer cannot be judged; raise `longest`")
    return one


def _last(prompt: tuple[Message, ...], answer: Message) -> Lesson:
    return Lesson((*prompt, answer), (*(False,) * len(prompt), True))


def _digest(samples: Sequence[Sample], weights: Sequence[float]) -> str:
    digest = hashlib.sha256()
    for one in samples:
        digest.update(one.ids.tobytes() + one.learnt.tobytes() + np.array([one.weight, one.strength]).tobytes())
        if one.alternatives is not None:
            digest.update(one.alternatives.ids.tobytes() + one.alternatives.shares.tobytes())
    digest.update(np.array(weights, np.float64).tobytes())
    return digest.hexdigest()
