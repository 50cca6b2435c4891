"""A model under judgement: gets outcomes for questions, of conversations led by a persona or by nobody."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any

from gadfly.answer.prompt import spoken
from gadfly.chat.persona import load_persona
from gadfly.completion import Sampling
from gadfly.conversation import ChatRequest, Finished, Message, TextDelta
from gadfly.errors import ContextError, UnsupportedError
from gadfly.evaluate.question import Asking, Outcome, Question, Ranking, Reading
from gadfly.evaluate.scorer import Scorer
from gadfly.llm import LLM

__all__ = ["AT_ONCE", "Manner", "Subject"]

AT_ONCE = 8  # answers that are written side by side
PASSAGE = 1024  # tokens that are read at once


@dataclass(frozen=True)
class Manner:
    """How a model is asked. Without a `persona` its template is all there is, and `system` a prompt of one's own.

    `adapters` are strengths by name; others are as strong as the model was loaded with them, or as the wit asks for.
    """

    persona: str | None = None
    wit: float = 0.5
    system: str | None = None
    sampling: Sampling = field(default_factory=lambda: Sampling(temperature=0.0, seed=0))
    max_tokens: int | None = None
    adapters: Mapping[str, float] = field(default_factory=dict)


class Subject:
    """Outcomes of an `llm`, asked in a `manner`."""

    def __init__(self, llm: LLM, manner: Manner) -> None:
        if llm.tokenizer is None:
            raise UnsupportedError(f"{llm.path} has no tokenizer, so it can neither read nor answer")
        self._llm = llm
        self._tokenizer = llm.tokenizer
        self._manner = manner
        self._persona = None if manner.persona is None else llm.cast(load_persona(manner.persona))
        wit = None if manner.persona is None else manner.wit
        self.strengths = llm.strengths(manner.adapters, manner.persona, wit)

    @cached_property
    def _scorer(self) -> Scorer:
        """With a cache of its own, which only those need who rank and read."""
        return Scorer(self._llm, self._llm.adapters.numbers(self.strengths))

    @property
    def terms(self) -> dict[str, Any]:
        """What outcomes depend on, in values of JSON; of a persona also what it says, as anybody may change that."""
        manner = self._manner
        led = self._persona.messages(manner.wit) if self._persona else []
        prompt = sha256(repr([(one.role, one.content) for one in led]).encode()).hexdigest()[:16] if led else None
        return {
            "persona": manner.persona,
            "wit": manner.wit if led else None,
            "prompt": prompt,
            "system": manner.system,
            "temperature": manner.sampling.temperature,
            "seed": manner.sampling.seed if manner.sampling.temperature else None,
            "max_tokens": manner.max_tokens,
            "adapters": {name: strength for name, strength in self.strengths.items() if strength},
        }

    def outcomes(self, questions: Iterable[Question]) -> Iterator[tuple[Question, Outcome]]:
        """In their order. A question that does not fit has the outcome {"skipped": why}."""
        under_way: deque[tuple[Asking, Iterator[Outcome]]] = deque()
        for question in questions:
            if isinstance(question, Asking):
                under_way.append((question, self._answer(question)))
                if len(under_way) >= AT_ONCE:
                    yield _first(under_way)
                continue
            while under_way:
                yield _first(under_way)
            try:
                yield question, self._rank(question) if isinstance(question, Ranking) else self._read(question)
            except ContextError as error:
                yield question, {"skipped": str(error)}
        while under_way:
            yield _first(under_way)

    def _led(self, messages: Sequence[Message]) -> list[Message]:
        manner = self._manner
        if manner.system is not None and (not messages or messages[0].role != "system"):
            messages = [Message("system", manner.system), *messages]
        return spoken(self._persona, manner.wit, messages) if self._persona else list(messages)

    def _rank(self, question: Ranking) -> Outcome:
        messages = self._led(question.messages)
        prompt = self._llm.prompt_ids(messages)
        answers = [self._ids(messages, prompt, answer, question.whole) for answer in question.answers]
        scores = self._scorer.scores(prompt, answers)
        sizes = [(len(ids), len(text.encode())) for ids, text in zip(answers, question.answers, strict=True)]
        return {"scores": [[round(score, 4), *size] for score, size in zip(scores, sizes, strict=True)]}

    def _ids(self, messages: Sequence[Message], prompt: Sequence[int], answer: str, whole: bool) -> list[int]:
        """Of an answer, as it stands behind the prompt; with the token that ends its turn if that is wanted."""
        if not self._llm.has_template:
            return self._tokenizer.encode(f" {answer}")
        if not whole:
            return self._tokenizer.encode(answer)
        ids = self._llm.answered_ids([*messages, Message("assistant", answer)])
        if ids[: len(prompt)] != list(prompt):  # a template that writes past answers differently
            return self._tokenizer.encode(answer)
        rest = ids[len(prompt) :]
        end = next((place for place, token in enumerate(rest) if token in self._tokenizer.stop_ids), len(rest))
        return rest[: end + 1]

    def _read(self, question: Reading) -> Outcome:
        ids = self._tokenizer.encode(question.text, bos=self._tokenizer.adds_bos)
        step = min(PASSAGE, self._llm.context)
        logprob, tokens = 0.0, 0
        for first in range(0, len(ids) - 1, step - 1):
            piece = ids[first : first + step]
            logprob += self._scorer.scores(piece[:1], [piece[1:]])[0]
            tokens += len(piece) - 1
        return {"logprob": round(logprob, 4), "tokens": tokens, "bytes": len(question.text.encode())}

    def _answer(self, question: Asking) -> Iterator[Outcome]:
        """Begins at once; what comes of it is waited for by whoever asks."""
        manner = self._manner
        request = ChatRequest(
            tuple(self._led(question.messages)),
            max_tokens=manner.max_tokens or question.tokens,
            sampling=manner.sampling,
            stop=tuple(self._persona.stop) if self._persona else (),
            adapters=self.strengths,
        )
        try:
            answer = self._llm.answer(request)
        except ContextError as error:
            return iter([{"skipped": str(error)}])

        def outcome() -> Iterator[Outcome]:
            said, finish = "", ""
            for event in answer:
                match event:
                    case TextDelta():
                        said += event.text
                    case Finished():
                        finish = event.reason
            yield {"said": said, "finish": finish}

        return outcome()


def _first(under_way: deque[tuple[Asking, Iterator[Outcome]]]) -> tuple[Asking, Outcome]:
    question, outcome = under_way.popleft()
    return question, next(outcome)
