"""Where a new model's tokenizer comes from: another model, a file, or nothing but bytes."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from gadfly.errors import UnsupportedError
from gadfly.text import Tokenizer
from gadfly.text.byte_level import byte_level_files
from gadfly.text.hugging_face_files import hugging_face_files
from gadfly.weights.disk import small_files
from gadfly.weights.gguf import GGUF
from gadfly.weights.tokenizer_files import TOKENIZER_FILES, find_tokenizer

__all__ = ["BYTES", "tokenizer_from", "vocabulary_size"]

BYTES = "bytes"  # what a user types for a token for every byte
HOLDING = ("tokenizer.json", "tokenizer.model", "tokenizer.tok.json")  # one of them has to be there
BESIDE = ("chat_template.jinja", "special_tokens_map.json", "tokenizer_config.json")  # what goes along with a file


def tokenizer_from(source: Path | None) -> Mapping[str, bytes]:
    """A tokenizer's files by name: of a model, of a file of its own, or for None of `byte_level_files`.

    Raises UnsupportedError if there is none, ModelFileError if a file is damaged.
    """
    if source is None:
        return byte_level_files()
    if source.is_dir():
        found = small_files(source, TOKENIZER_FILES)
    elif source.suffix in (".json", ".model"):
        beside = [source.with_name(name) for name in BESIDE]
        found = {path.name: path.read_bytes() for path in beside if path.is_file()}
        found[f"tokenizer{source.suffix}"] = source.read_bytes()
    else:
        with GGUF.open(source) as file:
            found = hugging_face_files(file.metadata) if "tokenizer.ggml.model" in file.metadata else {}
    if not any(name in found for name in HOLDING):
        raise UnsupportedError(
            f"{source} has no tokenizer that can be taken out of it; give a folder or file with tokenizer.json or "
            f"tokenizer.model, or {BYTES}"
        )
    return found


def vocabulary_size(files: Mapping[str, bytes]) -> int:
    """Of a tokenizer, by its files. Raises ModelFileError if it is none that Gadfly reads."""
    with TemporaryDirectory() as folder:
        for name, data in files.items():
            (Path(folder) / name).write_bytes(data)
        path = find_tokenizer(folder).tokenizer
        assert path is not None
        return Tokenizer.from_file(path).vocab_size
