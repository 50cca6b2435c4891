"""Opens a model, whatever its format: a GGUF file, a Hugging Face folder, or one with xAI's release of Grok-1."""

from pathlib import Path

from gadfly.errors import ModelFileError, UnsupportedError
from gadfly.weights.gguf_model import open_gguf
from gadfly.weights.model_file import ModelFile

__all__ = ["ModelFile", "open_model"]


def open_model(path: Path | str) -> ModelFile:
    """Raises ModelFileError or UnsupportedError, naming the file and what is wrong with it."""
    path = Path(path)
    try:
        if not path.is_dir():
            return open_gguf(path)
        if (path / "ckpt-0").exists():
            from gadfly.weights.grok_model import open_grok1  # pickles: for one release in the world

            return open_grok1(path)
        if (path / "config.json").exists():
            from gadfly.weights.hf_model import open_folder

            return open_folder(path)
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}; check the path and its permissions") from error
    raise UnsupportedError(
        f"{path} is a folder without config.json and ckpt-0; Gadfly opens .gguf files, Hugging Face folders with "
        "safetensors, and the Grok-1 release"
    )
