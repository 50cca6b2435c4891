"""From a recipe to an adapter or a model: reads base and data, trains with checkpoints, writes what came of it.

Everything that a run depends on is in the identity of its checkpoint, so that `train` goes on after an interruption and
refuses to after a change of the recipe. What is shown meanwhile is the affair of whoever calls.
"""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from gadfly.allocator import keep_freed
from gadfly.answer import Prompts
from gadfly.errors import RequestError
from gadfly.hub.library import Library
from gadfly.lines import Problem
from gadfly.ops.torch import Torch
from gadfly.settings import home
from gadfly.spec import ModelSpec
from gadfly.train.checkpoint import identity, learnt, resume, save
from gadfly.train.data.sample import Sample
from gadfly.train.data.systems import usual_system
from gadfly.train.group import Group
from gadfly.train.hold import Hold
from gadfly.train.interview import Interview
from gadfly.train.lower import FILE as LOWER
from gadfly.train.material import read_material
from gadfly.train.model import write_model
from gadfly.train.new import for_budget, make_new, planned_tokens
from gadfly.train.objective import Objective
from gadfly.train.packing import Sequences
from gadfly.train.plan import Plan
from gadfly.train.recipe import NEW, Recipe
from gadfly.train.report import Judgement, Report
from gadfly.train.trainable import Trainable, all_of, with_adapter
from gadfly.train.training import Training
from gadfly.train.trial import Said, Trial
from gadfly.weight import Weights
from gadfly.weights.adapter_writer import write_adapter
from gadfly.weights.likeness import likeness
from gadfly.weights.load import ModelFile, open_model
from gadfly.weights.low_rank import Adapter, Pair

__all__ = ["Watcher", "Workshop", "checkpoints", "is_judged", "open_workshop"]

SAVE_EVERY = 60.0  # seconds
EVALUATIONS = 10  # in a run


class Watcher(Protocol):
    """Hears what happens in a run."""

    def problem(self, file: Path, problem: Problem) -> None: ...
    def note(self, text: str) -> None: ...
    def prepared(self, done: int, total: int) -> None: ...
    def began(self, training: Training, train: int, valid: int, resumed: bool) -> None: ...
    def advanced(self, training: Training, report: Report) -> None: ...
    def evaluated(self, step: int, judged: Judgement) -> None: ...
    def tried(self, step: int, said: Sequence[Said]) -> None: ...


@dataclass(eq=False)
class Workshop:
    """A run that is ready to begin, or to go on."""

    recipe: Recipe
    file: ModelFile
    training: Training
    valid: Objective
    trial: Trial | None
    interview: Interview | None
    longest: int
    run: str
    watcher: Watcher

    @property
    def checkpoints(self) -> Path:
        return checkpoints(self.recipe)

    def work(self, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Train to the end and write what came of it; or until `stopped`, which leaves a checkpoint and is False."""
        training, folder = self.training, self.checkpoints
        speaks = training.group is None or training.group.first
        folder.mkdir(parents=True, exist_ok=True)
        resumed = resume(folder, training, self.run)
        self.watcher.began(training, len(training.objective.sequences), len(self.valid.sequences), resumed)
        if not (self.hold_to_answers(folder, stopped) and self._keep_lower(stopped)):
            save(folder, training, self.run)
            return False
        saved = time.monotonic()
        if not resumed:
            self._judge()
        while training.step < training.steps:
            if training.any(stopped()):
                save(folder, training, self.run)
                return False
            self.watcher.advanced(training, training.advance())
            if is_judged(training.step, training.steps):
                self._judge()
            if training.any(time.monotonic() - saved > SAVE_EVERY):
                save(folder, training, self.run)
                saved = time.monotonic()
        save(folder, training, self.run)
        if speaks:
            self._write()
            (folder / LOWER).unlink(missing_ok=True)
        return True

    def hold_to_answers(self, folder: Path, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Hold the model to what its base says in an interview, if there is one, or said before; False if `stopped`."""
        interview, training = self.interview, self.training
        if interview is None:
            return True
        path = folder / f"answers-{self.run[:16]}.jsonl"
        if not path.exists():
            if training.group is not None:
                raise RequestError(
                    "the questions of hold are answered by one process; begin without torchrun, stop when it learns, "
                    "and go on with torchrun"
                )
            count = len(interview.asked)
            self.watcher.note(f"{count} questions are answered by the model as it is, once; it is held to what it says")
            if not interview.keep(path, training.trainable, lambda done: self.watcher.prepared(done, count), stopped):
                return False
        training.hold = _hold(self.recipe, path, interview.prompts, self.longest, self.watcher)
        return True

    def keeps_lower(self, folder: Path) -> bool:
        """Whether the folder has room for what layers below the adapter make of samples, and these are met again."""
        lower = self.training.trainable.lower
        return lower is not None and self.training.plan.epochs > 1 and lower.fits(folder, self.sequences)

    @property
    def sequences(self) -> list[Sample]:
        """That are met again, if samples are."""
        training, hold = self.training, self.training.hold
        held = hold.sequences if hold is not None and hold.met_again(training.steps) else []
        parts = (training.objective.sequences, self.valid.sequences, held)
        return [one for part in parts for sample in part for one in sample]

    def _keep_lower(self, stopped: Callable[[], bool]) -> bool:
        """False if `stopped`."""
        lower, folder, sequences = self.training.trainable.lower, self.checkpoints, self.sequences
        if lower is None or self.training.plan.epochs <= 1:
            return True
        takes = f"{lower.size(sequences) / 1e9:.2g} GB in {folder}"
        if not self.keeps_lower(folder):
            self.watcher.note(f"the layers below the adapter are computed in every epoch: {takes} are too much to keep")
            return True
        self.watcher.note(f"the {lower.count} layers below the adapter are computed once: {takes} until the run ends")
        return lower.keep(
            folder / LOWER, self.run, sequences, lambda done: self.watcher.prepared(done, len(sequences)), stopped
        )

    def _judge(self) -> None:
        """By what it has not seen, and by what it says."""
        training = self.training
        if self.valid.sequences:
            self.watcher.evaluated(training.step, training.evaluate(self.valid))
        if self.trial is not None and self.trial.due(training.step, training.steps):
            self.watcher.tried(training.step, self.trial.ask(training.trainable))

    def _write(self) -> None:
        recipe, training = self.recipe, self.training
        facts = {
            "format": "gadfly-model" if recipe.makes_model else "gadfly-adapter",
            "version": 1,
            "base": recipe.base,
            "method": recipe.method,
            "likeness": likeness(self.file.spec, self.file.weights),
            "template": _digest(str(self.file.metadata.get("tokenizer.chat_template", ""))),
            "plan": asdict(training.plan),
            "samples": len(training.objective.sequences),
            "steps": training.steps,
            "run": self.run,
        }
        if recipe.method in ("dpo", "kto"):
            facts["preference"] = asdict(recipe.preference)
        if (hold := training.hold) is not None:
            facts["hold"] = {"weight": hold.weight, "batch": hold.batch, "samples": len(hold.sequences)}
        if recipe.makes_model:
            write_model(recipe.folder, self.file, learnt(self.checkpoints, training), facts)
            return
        factors = {name: tensor.numpy() for name, tensor in learnt(self.checkpoints, training).items()}
        paths = [name.removesuffix(".down") for name in factors if name.endswith(".down")]
        pairs = {path: Pair(factors[f"{path}.down"], factors[f"{path}.up"]) for path in paths}
        facts["lora"] = asdict(recipe.lora)
        write_adapter(recipe.folder, Adapter(pairs, recipe.lora.scale, facts), self.file.page, recipe.base)


def is_judged(step: int, steps: int) -> bool:
    """Whether what is not learnt from is looked at after so many steps; it is before the first, too."""
    return step % max(1, steps // EVALUATIONS) == 0 or step == steps


def checkpoints(recipe: Recipe) -> Path:
    """Beside what a run makes, which is there when it is finished and not before."""
    return recipe.folder.with_name(f"{recipe.folder.name}.run")


def open_workshop(recipe: Recipe, watcher: Watcher, threads: int | None = None, group: Group | None = None) -> Workshop:
    """Read the base and the data of a recipe; lines that cannot be learnt are told to the watcher and left out.

    The processes of a `group` all do so, and then share the work.

    Raises NotFoundError, RequestError if nothing is left to learn, or if there is something at the recipe's `out`.
    """
    if recipe.folder.exists():
        raise RequestError(f"{recipe.folder} exists; remove it, or choose another `out`")
    keep_freed()
    if threads is not None:
        torch.set_num_threads(threads)
    path = _base(recipe, watcher, group)
    file = open_model(path)
    longest = min(recipe.longest, file.spec.context)
    prompts = Prompts.of(file)
    train, valid = (
        read_material(recipe.method, files, prompts, longest, recipe.preference, watcher.problem)
        for files in (recipe.train_files, recipe.valid_files)
    )
    if not train.objective.sequences:
        raise RequestError(f"{recipe.place / recipe.data} has nothing that can be learnt by the method {recipe.method}")
    plan = recipe.plan if recipe.base != NEW else for_budget(recipe.plan, train.objective, planned_tokens(path))
    hold, interview = None, None
    system = None if recipe.method == "text" else usual_system(recipe.train_files)
    if recipe.hold.wanted and recipe.hold.questions:
        interview = Interview.of(recipe.hold.questions, recipe.place, system, prompts, longest, watcher.problem)
    elif recipe.hold.wanted:
        hold = _hold(recipe, recipe.place / recipe.hold.data, prompts, longest, watcher)
    training = _training(recipe, plan, train.objective, file, file.spec.within(longest), group, hold)
    file.release()
    settings: list[object] = [asdict(part) for part in (recipe.lora, plan, recipe.preference)]
    if (held := hold or interview) is not None:
        settings.append([recipe.hold.weight, recipe.hold.batch, held.digest])
    run = identity(_state(file), train.digest, longest, json.dumps([recipe.method, recipe.makes_model, *settings]))
    texts = valid.objective.sequences or train.objective.sequences
    trial = _trial(recipe, system, prompts, longest, texts) if group is None else None
    return Workshop(recipe, file, training, valid.objective, trial, interview, longest, run, watcher)


def _trial(recipe: Recipe, system: str | None, prompts: Prompts, longest: int, texts: Sequence[Sequences]) -> Trial:
    if recipe.method == "text":
        return Trial.of_texts([one for (one,) in texts] if recipe.questions else [], prompts)
    return Trial.of_questions(recipe.questions, system, prompts, longest)


def _hold(recipe: Recipe, path: Path, prompts: Prompts, longest: int, watcher: Watcher) -> Hold:
    config = recipe.hold
    found = read_material("sft", [path], prompts, longest, recipe.preference, watcher.problem)
    if not found.objective.sequences:
        raise RequestError(f"{path} has nothing to hold to; expected conversations, as gadfly data synth writes them")
    return Hold(found.objective.sequences, found.digest, config.weight, config.batch, recipe.plan.seed)


def _training(
    recipe: Recipe,
    plan: Plan,
    objective: Objective,
    file: ModelFile,
    spec: ModelSpec,
    group: Group | None,
    hold: Hold | None,
) -> Training:
    def trainable(weights: Weights[Tensor], backend: Torch) -> Trainable:
        if recipe.makes_model:
            return all_of(spec, weights, backend, new=recipe.base == NEW)
        return with_adapter(spec, weights, recipe.lora, plan.seed, backend)

    if group is None:
        backend = Torch(dtype=getattr(torch, plan.precision))
        return Training(trainable(file.weights.map(backend.place), backend), objective, plan, hold=hold)
    if plan.precision != "float32":
        raise RequestError("precision is for one process; many take what suits their devices. Leave it out")
    from gadfly.train.spread import SpreadTraining, backend_for, outline  # takes a second to import

    return SpreadTraining(
        trainable(outline(file.weights), backend_for(group)), objective, plan, file.weights, group, hold
    )


def _base(recipe: Recipe, watcher: Watcher, group: Group | None) -> Path:
    if recipe.base != NEW:
        return Library(home()).require(recipe.base)
    folder = checkpoints(recipe) / "begun"
    if group is None or group.first:
        make_new(folder, recipe.new, recipe.plan, recipe.longest, watcher.note)
    if group is not None:
        group.wait()
    return folder


def _state(file: ModelFile) -> list[tuple[str, int, int]]:
    """Of its weights: a model that was made anew in the same place is another one."""
    found = [(path.name, path.stat()) for path in file.files]
    return [(name, state.st_size, state.st_mtime_ns) for name, state in found]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
