"""Models of the catalogue as `gadfly.evaluate.fit` sees them, before any file of theirs is here."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from gadfly.evaluate.fit import Comfort, Version, quantised
from gadfly.evaluate.fit_report import Candidate
from gadfly.hub.catalogue import Model, Shape
from gadfly.spec import Attention, Block, Dense, FeedForward, ModelSpec, MoE, Parallel, PreNorm, Rope

__all__ = ["candidate", "nearest", "published", "spec_of"]


def spec_of(model: Model) -> ModelSpec:
    """A spec with the model's sizes. Nothing else of it is the model's: it can be weighed and not run."""
    shape = model.shape
    mixer = Attention(shape.heads, shape.kv_heads, shape.head_dim, Rope(shape.head_dim, 10000.0), 1.0)
    block = Block(mixer, _feed_forward(shape), PreNorm(1e-5))
    return ModelSpec(shape.vocab, shape.dim, model.context, (block,) * shape.layers, norm_eps=1e-5)


def _feed_forward(shape: Shape) -> FeedForward:
    if not shape.experts:
        return Dense(shape.hidden, "silu")
    mixture = MoE(shape.experts, shape.selected, shape.hidden, "silu")
    return Parallel(Dense(shape.dense_hidden, "silu"), mixture, 1.0) if shape.dense_hidden else mixture


def published(model: Model) -> Version:
    """What there is to fetch: the model's files or, without any, what its makers publish."""
    version = quantised(spec_of(model), model.shape.tied, model.format)
    return replace(version, file=model.size or version.file)


def candidate(model: Model, here: bool) -> Candidate:
    """The model as somebody asks about it, who has its file or not."""
    obstacle = model.note if model.status == "planned" and not here else None
    convertible = model.weights is not None and not here
    return Candidate(model.name, spec_of(model), model.shape.tied, published(model), here, obstacle, convertible)


def nearest(models: Iterable[Model], fits: Callable[[Version], Comfort]) -> Model | None:
    """The largest free model that runs, chats and fits comfortably as it is published."""
    pulled = [model for model in models if model.status == "runs" and model.files]  # and not converted on the way
    chatting = [model for model in pulled if model.free and model.template == "chat"]
    fitting = [model for model in chatting if fits(published(model)) == "comfortable"]
    return max(fitting, key=lambda model: model.parameters, default=None)
