"""Judging a model by tasks: asks what is not known yet, and makes numbers of all, beside those of another run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from gadfly.errors import RequestError
from gadfly.evaluate.journal import Journal
from gadfly.evaluate.metric import Metric, share
from gadfly.evaluate.question import Found, Outcome, Question, Task
from gadfly.evaluate.subject import Subject

__all__ = ["Verdict", "ask", "judge"]

Outcomes = Mapping[tuple[str, str], Outcome]


@dataclass(frozen=True)
class Verdict:
    """On a task: numbers by name, and those of the run that it is compared with, over the same questions.

    `skipped` questions did not fit into the context.
    """

    task: Task
    metrics: Mapping[str, Metric]
    base: Mapping[str, Metric] = field(default_factory=dict)
    skipped: int = 0


def ask(
    tasks: Sequence[Task],
    subject: Subject,
    journal: Journal,
    advanced: Callable[[Task, int, int], None],
    dial: float | None = None,
) -> None:
    """Ask all that the journal does not know; `advanced` hears how many questions of how many of a task are done.

    `dial` is how far adapters are turned up, where several such runs share a journal.
    """
    for task in tasks:
        name = _name(task, dial)
        left = [question for question in task.questions if (name, question.key) not in journal.outcomes]
        done = len(task.questions) - len(left)
        advanced(task, done, len(task.questions))
        for question, outcome in subject.outcomes(left):
            journal.add(name, question.key, outcome)
            done += 1
            advanced(task, done, len(task.questions))


def judge(
    task: Task,
    outcomes: Outcomes,
    base: Outcomes | None = None,
    dial: float | None = None,
    base_dial: float | None = None,
) -> Verdict:
    """`base` are outcomes of another run, or of this one at another place of the dial.

    Where answers are right or wrong, `kept` is the share that is still right of what was right there. Raises
    RequestError if an outcome is not one of this task.
    """
    found = _found(task, outcomes, dial)
    try:
        metrics = task.metrics(found)
        if base is None:
            return Verdict(task, metrics, skipped=_skipped(task, outcomes, dial))
        known = {question.key for question, _ in found}
        before = [one for one in _found(task, base, base_dial) if one[0].key in known]
        right = {question.key for question, outcome in before if task.right(question, outcome)}
        kept = [bool(task.right(question, outcome)) for question, outcome in found if question.key in right]
        more = {"kept": share(kept)} if kept else {}
        return Verdict(task, {**metrics, **more}, task.metrics(before), _skipped(task, outcomes, dial))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise RequestError(f"an outcome of {task.id} is damaged; remove its line, or the file of outcomes") from error


def _found(task: Task, outcomes: Outcomes, dial: float | None) -> Found:
    found: list[tuple[Question, Outcome]] = []
    for question in task.questions:
        outcome = outcomes.get((_name(task, dial), question.key))
        if outcome is not None and "skipped" not in outcome:
            found.append((question, outcome))
    return found


def _skipped(task: Task, outcomes: Outcomes, dial: float | None) -> int:
    return sum("skipped" in outcomes.get((_name(task, dial), question.key), {}) for question in task.questions)


def _name(task: Task, dial: float | None) -> str:
    """In a journal."""
    return task.id if dial is None else f"{task.id}@{dial:g}"
