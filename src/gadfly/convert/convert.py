"""From any model that opens to a GGUF file or a Hugging Face folder, quantised on the way.

    SOURCE -> weight tree -> tensors of the target -> plan -> .TARGET.converting/ -> checked -> TARGET

What stands under the name of the target is whole. Until then everything lies in a folder beside it, which an
interrupted conversion leaves and the next one with the same question goes on with:

    .TARGET.converting/files/    what becomes the target
    .TARGET.converting/journal   how far it is; gone only after the target is in place
    .TARGET.converting/lock
"""

import glob
import re
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from gadfly.convert.budget import choose_for, measure_with
from gadfly.convert.encoding import Encoding
from gadfly.convert.importance import Importance, by_path
from gadfly.convert.journal import Journal
from gadfly.convert.layout import Choose, folder_plans, gguf_plan, prepared_bytes, prepared_plan
from gadfly.convert.mix import LOSSLESS, Mix
from gadfly.convert.plan import CODES, SCALES, FilePlan, Piece, digest, piece_bytes
from gadfly.convert.surroundings import FILE_TYPE, Entries, file_type, folder_files, gguf_metadata
from gadfly.convert.write import verify, write
from gadfly.errors import RequestError
from gadfly.hub.disk import lock, require_room
from gadfly.hub.progress import Progress, size_text
from gadfly.ops.native import layout_of
from gadfly.quant import FORMATS
from gadfly.spec import MoE, Parallel
from gadfly.weight import Int8, Joined, Packed, Plain, Quantised, Reordered, Weight, unstack
from gadfly.weights.adapter import merged, read_adapter
from gadfly.weights.adapter_sum import summed
from gadfly.weights.disk import held_bytes, new_file, sync_folder, writing
from gadfly.weights.export import OutTensor, export
from gadfly.weights.gguf_writer import ALIGNMENT
from gadfly.weights.load import ModelFile, open_model
from gadfly.weights.packed import PAGE
from gadfly.weights.prepared import is_prepared, prepared_keys

__all__ = ["Converted", "Plan", "Wanted", "convert", "convert_model", "plan", "state_of"]

FILES, JOURNAL, LOCK = "files", "journal", "lock"
SPLIT = re.compile(r"-\d{5}-of-\d{5}\.gguf")
DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


@dataclass(frozen=True)
class Wanted:
    """`format` is a name of MIXES, LOSSLESS, or None for what suits the target; or `size` in bytes says how much.

    `importance` are mean squares of activations by the names of GGUF tensors: see `gadfly.convert.importance`. A target
    for `streaming` holds weights as kernels read them (`gadfly.weights.prepared`); without a format or size, what is
    quantised already keeps its numbers.
    """

    format: str | None = None
    size: int | None = None
    pure: bool = False
    streaming: bool = False
    importance: Importance = field(default_factory=dict)


@dataclass(frozen=True)
class Converted:
    path: Path
    size: int  # bytes
    parameters: int
    formats: Mapping[str, int]  # weights in each
    notes: tuple[str, ...]
    sha256: Mapping[str, str]  # of files of tensors, by name

    @property
    def bits(self) -> float:
        """Per weight."""
        return 8 * self.size / self.parameters


@dataclass(frozen=True)
class Plan:
    """All files of the target: those of tensors, and small ones by name."""

    tensors: list[FilePlan]
    others: Mapping[str, bytes]
    notes: tuple[str, ...]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.tensors) + sum(map(len, self.others.values()))

    def result(self, path: Path, sha256: Mapping[str, str]) -> Converted:
        pieces = [piece for file in self.tensors for piece in file.pieces]
        formats: Counter[str] = Counter()
        for piece in pieces:
            if piece.format != SCALES and not piece.tensor.path.startswith("spec."):
                formats[piece.format] += piece.tensor.parameters
        return Converted(path, self.size, sum(formats.values()), dict(formats.most_common()), self.notes, sha256)


def convert(
    source: Path,
    target: Path,
    wanted: Wanted,
    threads: int,
    progress: Progress,
    adapters: Sequence[tuple[Path, float]] = (),
) -> Converted:
    """Convert a model, with adapters in its weights: folders, and how strong each is. A target that ends in .gguf is a
    file, any other a folder.

    Raises RequestError for a target that exists or a format that it cannot have, CapacityError if the disk is too
    small, ModelFileError for what is wrong with the source.
    """
    _require_free_name(target)
    model, state = open_model(source), state_of(source)
    if adapters:
        read = [(read_adapter(path, model.page, model.spec), strength) for path, strength in adapters]
        model = merged(model, summed(read))
        state += repr([(state_of(path), strength) for path, strength in adapters])
    return convert_model(model, state, target, wanted, threads, progress)


def convert_model(
    model: ModelFile,
    source: str,
    target: Path,
    wanted: Wanted,
    threads: int,
    progress: Progress,
    planned_for: Callable[[Plan], Callable[[Sequence[Piece]], None]] = lambda _: lambda _: None,
) -> Converted:
    """`source` stands for everything that is read. `planned_for` sees the plan and returns who is told of pieces that
    are on disk for good.
    """
    encoding = Encoding(threads, by_path(wanted.importance, model.page.gguf.names))
    planned = plan(model, target, wanted, encoding)
    told = planned_for(planned)

    def finished(pieces: Sequence[Piece]) -> None:
        model.release()
        told(pieces)

    aside = target.absolute().with_name(f".{target.name}.converting")
    files = aside / FILES
    with writing(target):
        files.mkdir(parents=True, exist_ok=True)
    with lock(aside / LOCK, lambda: _refuse(target)), writing(target):
        _require_free_name(target)  # whoever held the lock before may have made it
        if not any(files.iterdir()):
            (aside / JOURNAL).unlink(missing_ok=True)
        journal = Journal(aside / JOURNAL, digest(planned.tensors, _fingerprint(source, wanted)))
        try:
            if not journal.marks:  # what lies here is of another plan, or not known to be whole
                for left in files.iterdir():
                    left.unlink()
            require_room(aside, planned.size - held_bytes(files), "make room or take a smaller quantisation")
            progress.note(
                "going on where the last conversion stopped" if journal.marks else f"writing {size_text(planned.size)}"
            )
            write(files, planned.tensors, journal, encoding.encode, progress, finished)
            for name, content in planned.others.items():
                (files / name).unlink(missing_ok=True)
                with new_file(files / name) as file:
                    file.write(content)
            digests = verify(files, planned.tensors, journal, progress)
        except BaseException:
            if journal.marks:
                progress.note(f"what is done is kept: the same command goes on; to give up, delete {aside}")
            raise
        finally:
            journal.close()
        written = files / target.name if _is_gguf(target) else files
        open_model(written)
        sync_folder(files)
        written.rename(target)
        sync_folder(target.absolute().parent)
        shutil.rmtree(aside)
    return planned.result(target, digests)


def plan(model: ModelFile, target: Path, wanted: Wanted, encoding: Encoding) -> Plan:
    """What `convert` would write. Raises as it does."""
    to_gguf = _is_gguf(target)
    if wanted.streaming:
        if not to_gguf:
            raise RequestError(f"what is prepared for streaming is a .gguf file; give {target} that ending")
        return _prepared(model, target, wanted, encoding)
    dialect = model.page.gguf if to_gguf else model.page.hf
    tensors = export(model.weights, model.spec, dialect)
    if not to_gguf:
        choose, dtype = _for_folder(wanted, tensors, model.path)
        files, index = folder_plans(tensors, choose)
        return Plan(files, {**folder_files(model, dtype), **index}, ())
    tensors += _of_the_spec(model)
    metadata = gguf_metadata(model)
    choose = _for_gguf(wanted, model, tensors, metadata, encoding)
    weights: Counter[str] = Counter()
    for tensor in tensors:
        weights[choose(tensor)] += tensor.parameters
    metadata[FILE_TYPE] = file_type(max(weights, key=lambda name: weights[name]))
    notes = (*model.page.notes(model.spec), *_lost_before(tensors, choose))
    return Plan([gguf_plan(target.name, metadata, tensors, choose)], {}, notes)


def _of_the_spec(model: ModelFile) -> list[OutTensor]:
    """Tensors of a GGUF file that are no weights."""
    found = []
    for path, values in model.page.tensors(model.spec).items():
        entry = model.page.gguf.names.entry(path)
        assert entry is not None, path
        found.append(OutTensor(entry.name, path, values.shape, (Plain(values),)))
    return found


def _prepared(model: ModelFile, target: Path, wanted: Wanted, encoding: Encoding) -> Plan:
    """A file whose tensors are the weights themselves, as the runtime wants them."""
    tied = model.weights["output"] is model.weights["embedding"]
    tensors = [
        OutTensor(path, path, shape, unstack(model.weights[path]))
        for path, shape in model.spec.shapes()
        if not (tied and path == "output")
    ]
    architecture = model.page.gguf_name
    metadata = {**gguf_metadata(model), **prepared_keys(model.spec, architecture, (*FORMATS, CODES))}
    del metadata[FILE_TYPE]
    kinds = {kind for tensor in tensors for part in tensor.parts if (kind := _kind(part))}
    if wanted.format == LOSSLESS and CODES not in kinds:
        raise RequestError(f"{model.path} has no int8 weights to keep; --as {LOSSLESS} is for Grok-1's release")
    as_it_is = wanted.format is None and wanted.size is None
    if as_it_is and is_prepared(model):
        raise RequestError(f"{model.path} is prepared for streaming already; --as or --target-size make another one")
    if wanted.format == LOSSLESS or (as_it_is and any(FORMATS[name].block_size > 1 for name in kinds - {CODES})):
        choose: Choose = _layout
    else:
        choose = _for_gguf(wanted, model, tensors, metadata, encoding, prepared_bytes)
    chosen = [choose(tensor) for tensor in tensors if len(tensor.shape) > 1]
    metadata |= prepared_keys(model.spec, architecture, chosen)
    file = prepared_plan(target.name, metadata, [*tensors, *_of_the_spec(model)], choose)
    return Plan([file], {}, (*model.page.notes(model.spec), *_lost_before(tensors, choose)))


def _kind(weight: Weight) -> str | None:
    """What its numbers are in: a key of FORMATS, CODES, or None if that is yet to be seen."""
    match weight:
        case Plain():
            return "F32"
        case Quantised(name):
            return name
        case Int8():
            return CODES
        case Reordered(inner):
            return _kind(inner)
        case Joined(parts):
            return _kind(parts[0])
    return None


def _layout(tensor: OutTensor) -> str:
    """That in which kernels read it as it is."""
    return "F32" if len(tensor.shape) == 1 else layout_of(tensor.parts[0])


def _lost_before(tensors: Sequence[OutTensor], choose: Choose) -> tuple[str, ...]:
    """What is not to be expected of a source that was quantised already."""
    had = {
        name
        for tensor in tensors
        for part in tensor.parts
        for name in [part.layout if isinstance(part, Packed) else _kind(part)]
        if name is not None and name in FORMATS and FORMATS[name].block_size > 1 and name != choose(tensor)
    }
    if not had:
        return ()
    return (
        f"The source is in {', '.join(sorted(had))}: what was lost there stays lost; the original gives better files.",
    )


def _for_gguf(
    wanted: Wanted,
    model: ModelFile,
    tensors: list[OutTensor],
    metadata: Entries,
    encoding: Encoding,
    bytes_of: Callable[[OutTensor, str], int] = piece_bytes,
) -> Choose:
    experts = any(isinstance(block.ffn, MoE | Parallel) for block in model.spec.blocks)
    if wanted.size is None:
        return Mix.named(wanted.format or "q4_k", wanted.pure, experts).choose
    header = gguf_plan("", metadata, tensors, lambda _: "F32").header
    alignment = PAGE if wanted.streaming else ALIGNMENT
    others = len(header) + alignment * (len(tensors) + 1)
    formats, _ = choose_for(wanted.size, others, tensors, measure_with(encoding.encode_matrix), bytes_of)
    return lambda tensor: formats[tensor.name]


def _for_folder(wanted: Wanted, tensors: list[OutTensor], source: Path) -> tuple[Choose, str]:
    """And what config.json calls the type of most weights."""
    if wanted.size is not None:
        raise RequestError("a size can be aimed at in a .gguf file only; give the target that ending")
    if wanted.format == LOSSLESS:
        if not any(isinstance(part, Int8) for tensor in tensors for part in tensor.parts):
            raise RequestError(f"{source} has no int8 weights to keep; --as {LOSSLESS} is for Grok-1's release")
        return _as_it_is, "bfloat16"
    name = (wanted.format or "bf16").upper()
    if name not in DTYPES:
        raise RequestError(
            f"a folder of safetensors holds bf16, f16, f32 or int8, not {wanted.format}; end the target in .gguf"
        )
    return lambda tensor: "F32" if tensor.path.endswith("router") else name, DTYPES[name]


def _as_it_is(tensor: OutTensor) -> str:
    part = tensor.parts[0]
    if isinstance(part, Int8):
        return CODES
    return part.format if isinstance(part, Quantised) and part.format in ("F16", "BF16") else "F32"


def _is_gguf(target: Path) -> bool:
    return target.suffix == ".gguf"


def _require_free_name(target: Path) -> None:
    with writing(target):
        if target.exists():
            raise RequestError(f"{target} exists; remove it or choose another name")


def _refuse(target: Path) -> None:
    raise RequestError(f"another process is converting to {target} right now; wait for it, or choose another name")


def _fingerprint(source: str, wanted: Wanted) -> str:
    """Stands for everything that the bytes of the target depend on, beside its plan."""
    importance = [(name, sha256(values.tobytes()).hexdigest()) for name, values in sorted(wanted.importance.items())]
    return repr((version("gadfly"), source, importance))


def state_of(source: Path) -> str:
    """Of the files that are read; hidden ones are not, for example those of a conversion into the source's folder."""
    source = source.absolute()
    if source.is_dir():
        found = [path for path in source.rglob("*") if path.is_file() and path.suffix != ".gguf"]
        paths = [path for path in found if not any(part.startswith(".") for part in path.relative_to(source).parts)]
    elif split := SPLIT.search(source.name):
        paths = list(source.parent.glob(glob.escape(source.name[: split.start()]) + "-?????-of-?????.gguf"))
    else:
        paths = [source]
    facts = [(str(path.relative_to(source.parent)), path.stat()) for path in sorted(paths)]
    return repr([(name, state.st_size, state.st_mtime_ns) for name, state in facts])
