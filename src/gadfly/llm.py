"""A language model in hand: joins a model file, a backend, the engine and a tokenizer into the object people hold.

    llm = gadfly.load("smollm2")
    llm.generate("Once upon", max_tokens=64).text

Text goes in as it is or through the model's chat template (`prompt_ids`, `chat`); ids work without a tokenizer. Many
threads may use one `LLM`: their requests share the engine's steps, and none changes another's answer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gadfly.answer import Answer, Answerer, Embedding, Generation, Prompts
from gadfly.answer.adapters import Adapters
from gadfly.answer.beside import Found, adapters_for
from gadfly.bare_model import PAGE_SIZE, STEP_TOKENS, BareModel, page_bytes
from gadfly.chat.kept import Kept
from gadfly.chat.persona import Persona, load_persona
from gadfly.chat.session import Chat
from gadfly.chat.values import Message, Provenance
from gadfly.completion import Completion, Reads, Sampling
from gadfly.conversation import ChatRequest, EmbeddingRequest, Embeddings, TextRequest, Tool
from gadfly.engine import Counts, Embedder, Engine, Executor, Request, declared_pooling
from gadfly.errors import NotFoundError, RequestError, UnsupportedError
from gadfly.hub.library import Library
from gadfly.hub.memory import memory_available
from gadfly.ops import Backend, Floats
from gadfly.ops.native import Native, kernel_names
from gadfly.ops.reference import Reference
from gadfly.promise import Promise, promised
from gadfly.settings import available_processors, home
from gadfly.spec import ModelSpec
from gadfly.text import StopStrings, TranscriptAnswer
from gadfly.weights.cache import Cache
from gadfly.weights.load import ModelFile, open_model
from gadfly.weights.placement import ROOM, Placement, Resident, choose_placement

if TYPE_CHECKING:  # a database is loaded by those who keep something
    from gadfly.chat.store import Store

__all__ = ["DEFAULT_CONTEXT", "LLM", "PAGE_SIZE", "STEP_TOKENS", "load"]

DEFAULT_CONTEXT = 8192  # at most, unless asked for: every position of a large context costs memory once it is used


def load(
    model: str | Path,
    *,
    backend: str = "native",
    threads: int | None = None,
    context: int | None = None,
    kernels: str | None = None,
    spec: Callable[[ModelSpec], ModelSpec] | None = None,
    memory: str | int | None = None,
    experts: str | None = None,
    cache: bool | None = None,
    packing: Callable[[int, int], None] = lambda *_: None,
    allow: Callable[[Path, int, int], bool] = lambda *_: False,
    speculate: bool = True,
    max_waiting: int | None = None,
    contexts: int = 1,
    adapters: Mapping[str | Path, float] | None = None,
) -> "LLM":
    """Load a model: a catalogue name that has been pulled, a .gguf file or a Grok-1 checkpoint folder.

    `backend` is "native" or "reference", `threads` defaults to the processors at hand, `context` to what the model was
    made for, up to 8192, `kernels` to the fastest instruction set that this processor executes. `spec` may replace the
    spec that the file gives. `memory`, such as "8GiB" or a number of bytes, is a promise: this process stays below it
    with all that it holds while it answers (`logits` and `embed` take more). `experts` of a mixture, and layers of
    other models, are "resident" in memory or "streamed" from disk: from a file that is packed for it once, or from the
    model's own if that was prepared or there may be no other. By default they are streamed if memory has no room for
    them. ("mapped" leaves experts to the system's paging.) `cache` says whether weights, packed for the kernels, are
    kept under GADFLY_HOME for the next start: by default if the disk has plenty of room. `packing` hears how many bytes
    have been packed, of how many. Before a GB or more is packed for streaming that neither `experts` nor `cache` asks
    for, `allow` is asked: a folder, bytes to write there, bytes free. With `speculate`, tokens that repeat earlier text
    are guessed and verified several at a time where that is quicker; answers do not change. At most `max_waiting`
    requests wait for others to end. All requests together may fill up to `contexts` contexts of cache, if that is no
    more than an eighth of the free memory. `adapters` are loaded beside the model: names or paths of adapters (folders
    as PEFT writes them, GGUF files) and how strong they are if a request says nothing else. By default those on this
    machine that were made for the model are loaded and off, but for one that plays a persona when it speaks; {} loads
    none.
    Raises GadflyError.
    """
    path = Library(home()).resolve(str(model))
    if path is None:
        raise NotFoundError(f"there is no model {str(model)!r} here; see `gadfly list --all`, then `gadfly pull NAME`")
    file = open_model(path)
    changed = spec(file.spec) if spec else file.spec
    made = make_backend(backend, threads or available_processors(), kernels)
    named = None if adapters is None else {str(name): strength for name, strength in adapters.items()}
    found = adapters_for(file, named, home()) if changed == file.spec else Found()
    promise, room = None, memory_available()
    if (size := promised(memory)) is not None:
        if not isinstance(made, Native):
            raise UnsupportedError("only the native backend keeps a promise of memory; leave out memory or backend")
        within = changed.within(context or min(changed.context, DEFAULT_CONTEXT))
        cached = page_bytes(within) * -(-within.context // PAGE_SIZE)
        promise = Promise(size, file, within, STEP_TOKENS, cached, experts in ("streamed", None))
        room = round((promise.left - cached) / ROOM)  # nobody else is to have a share of what is promised
    placement = choose_placement(file, made, experts, cache, room - found.size, Cache(home()), packing, allow)
    return LLM(file, changed, made, context, placement, speculate, max_waiting, contexts, promise, found)


def make_backend(name: str, threads: int, kernels: str | None) -> Backend[Any, Any, Any]:
    if name == "native":
        if not 1 <= threads <= 1024:
            raise RequestError(f"threads is {threads}; it has to be from 1 to 1024")
        if kernels not in (None, *kernel_names()):
            raise RequestError(f"there are no kernels {kernels!r} here; choose {', '.join(kernel_names())}")
        return Native(threads, kernels)
    if name == "reference":
        return Reference()
    raise RequestError(f"there is no backend {name!r}; choose native or reference")


class LLM:
    """See the module. `spec` says what the model is, `tokenizer` is None if its file has none."""

    def __init__(
        self,
        file: ModelFile,
        spec: ModelSpec,
        backend: Backend[Any, Any, Any],
        context: int | None = None,
        placement: Placement | None = None,
        speculate: bool = True,
        max_waiting: int | None = None,
        contexts: int = 1,
        promise: Promise | None = None,
        adapters: Found | None = None,
    ) -> None:
        if context is not None and not 1 <= context <= spec.context:
            raise RequestError(f"the context is {context}; this model takes from 1 to {spec.context} tokens")
        self.path = file.path
        self.metadata = file.metadata
        self._prompts = Prompts.of(file)
        self.tokenizer = self._prompts.tokenizer
        self.template = self._prompts.template
        self.context = context or min(spec.context, DEFAULT_CONTEXT)
        self.spec = spec = spec.within(self.context)
        found = adapters or Found()
        placed = placement or Resident(backend)
        self._bare = BareModel(file, spec, backend, placed, contexts, promise, found.adapters)
        self._engine = Engine(
            self._bare.serving.step,
            spec.vocab,
            self.context,
            self._bare.pages,
            PAGE_SIZE,
            self._bare.step_tokens,
            states=self._bare.serving.states,
            max_waiting=max_waiting,
            speculate=speculate,
        )
        self.adapters = Adapters(found.beside)
        self._notes = found.notes
        self._answerer = Answerer(self._engine, self._prompts, self.adapters)
        ends = self.metadata.get("tokenizer.ggml.add_eos_token") is True
        ending = self.tokenizer.eos if self.tokenizer and ends else None
        embedder = Embedder(self._engine, declared_pooling(self.metadata))
        self._embedding = Embedding(self._prompts, spec.vocab, self.context, ending, embedder, self.adapters)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know about how this model is run here."""
        note = self._bare.placement.note
        return (*((note,) if note else ()), *self._notes)

    @property
    def kernels(self) -> str:
        """What computes: the instruction set of the native backend, or the name of another one."""
        return self._bare.kernels

    @property
    def bytes_per_token(self) -> int:
        """Bytes of weights that a token of an answer reads, as the file holds them."""
        return self._bare.bytes_per_token

    def counts(self) -> Counts:
        """What the engine has done so far and is doing now."""
        return self._engine.counts()

    def reads(self) -> Reads | None:
        """What experts or layers on disk have cost in all answers so far; None if all of them are in memory."""
        return self._bare.reads(self.counts())

    def expert_use(self) -> list[list[int]] | None:
        """Tokens that each expert of each layer has been given in all answers so far; None for a dense model.

        A layer without experts has an empty list.
        """
        return self._bare.expert_use()

    def logits(self, prompt: str | Sequence[int], adapters: Mapping[str, float] | None = None) -> Floats:
        """Float32 (tokens, vocab): one forward pass over the whole prompt, in a cache of its own.

        `adapters` are strengths by name, as in `stream`.
        """
        strengths = self.adapters.numbers(self.adapters.strengths(adapters or {}))
        ids = self._prompts.text_ids(prompt)
        Request(tuple(ids)).validate(self.spec.vocab, self.spec.context + 1)
        return self._bare.logits(ids, strengths)

    def executor(self, positions: int) -> tuple[Executor, range]:
        """The bare model with a cache of its own, and the pages that hold `positions` positions of one sequence."""
        return self._bare.executor(positions)

    def generate(self, prompt: str | Sequence[int], **options: Any) -> Completion:
        """Continue text or ids as they are; `options` as for `stream`."""
        generation = self.stream(prompt, **options)
        for _ in generation:
            pass
        return generation.completion

    def stream(
        self,
        prompt: str | Sequence[int],
        *,
        max_tokens: int | None = None,
        stop: Sequence[str] = (),
        ignore_eos: bool = False,
        sampling: Sampling | None = None,
        adapters: Mapping[str, float] | None = None,
        wit: float | None = None,
        **values: Any,
    ) -> Generation:
        """Continue text or ids as they are: pieces of text as they come. `values` are fields of Sampling.

        `adapters` are strengths by name, from 0 to 2, of adapters that the model was loaded with. Those that are not
        named are as strong as they were loaded or, if they have a dial, as `wit` says.

        Ends at `max_tokens`, the end of the context, an end-of-turn token or a `stop` string, which is cut off.
        """
        unknown = sorted(values.keys() - {field.name for field in fields(Sampling)})
        if unknown:
            raise RequestError(f"there is no option {unknown[0]!r}; see help(gadfly.completion.Sampling)")
        drawn = replace(sampling or Sampling(), **values)
        if wit is not None and not self.adapters.have_dials:
            raise RequestError("wit moves nothing here: no adapter beside this model has a dial; talk to a persona")
        strengths = self.adapters.strengths(adapters or {}, None, wit)
        ids = self._prompts.text_ids(prompt)
        return self._generation(ids, max_tokens, drawn, StopStrings(stop), ignore_eos, strengths)

    def chat(self, persona: str = "gadfly", wit: float = 0.5, store: "Store | None" = None, **options: Any) -> Chat:
        """A conversation, in memory unless a store is given; `options` as for `gadfly.chat.session.Chat`."""
        return Chat(self, load_persona(persona), wit, kept=Kept(store) if store else None, **options)

    @cached_property
    def provenance(self) -> Provenance:
        """Name, digest and licence of this model, as the library knows it, else as its file says."""
        from importlib.metadata import version  # reads a folder full of files

        licence = self.metadata.get("general.license")
        known = next((entry for entry in Library(home()).list() if entry.path == self.path), None)
        return Provenance(
            model=known.name if known else self.path.name,
            digest=known.sha256 if known else None,
            licence=(known.licence if known else None) or (licence if isinstance(licence, str) else None),
            build={"gadfly": version("gadfly"), "kernels": self.kernels, "context": self.context},
        )

    def answer(self, request: ChatRequest, listener: Callable[[Any], None] | None = None, **terms: Any) -> Answer:
        """Answer a conversation: events as they come, of text, thoughts and calls of tools.

        `listener` is called when there is something to take, by the thread that runs the engine: see `Engine.submit`.
        `terms` are the `client` that asks and the `seconds` it waits, as in `Request`. Raises RequestError,
        ContextError, UnsupportedError or BusyError before anything is computed.
        """
        return self._answerer.answer(request, listener, **terms)

    def complete(self, request: TextRequest, listener: Callable[[Any], None] | None = None, **terms: Any) -> Answer:
        """Continue text or ids as they are, with all that an API may ask for. Otherwise like `answer`."""
        return self._answerer.complete(request, listener, **terms)

    def embed(self, request: EmbeddingRequest, **terms: Any) -> Embeddings:
        """A vector of length 1 for each input: the mean of what the last layer leaves of its tokens.

        Models that were made for it may declare the first or the last token instead. Raises RequestError for an empty
        input and ContextError for one that is too long, unless it may be truncated.
        """
        return self._embedding.embed(request, **terms)

    def run(self) -> None:
        """Compute for whoever asks, in a thread that is lent for it; return after `drain`."""
        self._engine.run()

    def drain(self, seconds: float | None = None) -> None:
        """Take no more requests, and return when those under way are finished; after `seconds` they are cancelled."""
        self._engine.drain(seconds)

    @property
    def has_template(self) -> bool:
        return self.template is not None

    def prompt_ids(self, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> list[int]:
        """The conversation as the model was trained to see it, or as a transcript if it was not trained for any.

        Up to where its answer begins. Text of messages never becomes control tokens, nor a turn of its own. Raises
        UnsupportedError if the model has no tokenizer.
        """
        return self._prompts.ids(messages, tools)

    def answered_ids(self, messages: Sequence[Message]) -> list[int]:
        """The conversation up to the end of its last answer. Raises UnsupportedError without tokenizer or template."""
        return self._prompts.answered_ids(messages)

    def cast(self, persona: Persona) -> Persona:
        """With the prompt that the adapter which plays it was trained with, if there is one."""
        return self.adapters.cast(persona)

    def strengths(
        self, asked: Mapping[str, float], persona: str | None = None, wit: float | None = None
    ) -> dict[str, float]:
        """How strong every adapter is in an answer of a persona, where `asked` says nothing else."""
        return self.adapters.strengths(asked, persona, wit)

    def respond(
        self,
        prompt_ids: Sequence[int],
        max_tokens: int | None,
        sampling: Sampling,
        stop: Sequence[str],
        adapters: Mapping[str, float] | None = None,
    ) -> Generation:
        """Answer what `prompt_ids` has made of a conversation; a model without a template answers for itself only."""
        stops = StopStrings(stop) if self.has_template else TranscriptAnswer(stop)
        return self._generation(
            prompt_ids, max_tokens, sampling, stops, adapters=self.adapters.strengths(adapters or {})
        )

    def _generation(
        self,
        ids: Sequence[int],
        max_tokens: int | None,
        sampling: Sampling,
        stops: StopStrings | TranscriptAnswer,
        ignore_eos: bool = False,
        adapters: Mapping[str, float] | None = None,
    ) -> Generation:
        stop_ids = self.tokenizer.stop_ids if self.tokenizer else frozenset[int]()
        strengths = self.adapters.numbers(adapters or {})
        request = Request(tuple(ids), max_tokens, sampling, stop_ids, ignore_eos, strengths=strengths)
        return Generation(self._engine.submit(request), self.tokenizer, stops)
