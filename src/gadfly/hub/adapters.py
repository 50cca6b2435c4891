"""The adapters on this machine: folders as PEFT writes them or GGUF files, under GADFLY_HOME and beside our code.

GADFLY_HOME/adapters/NAME or NAME.gguf        a user's own
gadfly/adapters/NAME                          those that come with Gadfly; a user's own of the same name wins
"""

import shutil
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

from gadfly.errors import NotFoundError, RequestError
from gadfly.hub.disk import writing

__all__ = ["find_adapter", "name_of_adapter", "remove_adapter", "shelved_adapters"]

OURS = Path(__file__).parents[1] / "adapters"


def shelved_adapters(home: Path, ours: Path = OURS) -> Mapping[str, Path]:
    """By name, in alphabetical order."""
    found = {
        name_of_adapter(path): path
        for folder in (ours, home / "adapters")
        if folder.is_dir()
        for path in folder.iterdir()
        if path.suffix == ".gguf" or (path / "adapter_config.json").is_file()
    }
    return dict(sorted(found.items()))


def find_adapter(name_or_path: str | Path, home: Path, ours: Path = OURS) -> Path:
    """Raises NotFoundError with what there is. A name wins over a folder here that is called the same."""
    here, asked = shelved_adapters(home, ours), str(name_or_path)
    if asked in here:
        return here[asked]
    try:
        path = Path(asked).expanduser()
        if asked and path.exists():
            return path
    except (OSError, ValueError, RuntimeError):  # a name that no file system accepts, no home for ~
        pass
    close = get_close_matches(asked, here, n=1)
    known = f"there are {', '.join(here)}" if here else "give the folder of one"
    raise NotFoundError(f"there is no adapter {asked!r:.100}; {f'did you mean {close[0]}?' if close else known}")


def remove_adapter(name: str, home: Path, ours: Path = OURS) -> None:
    """Delete one of a user's own. Raises NotFoundError, or RequestError for one that comes with Gadfly."""
    path = shelved_adapters(home, ours).get(name)
    if path is None:
        raise NotFoundError(f"there is no adapter {name!r:.100}")
    if path.parent != home / "adapters":
        raise RequestError(f"{name} comes with Gadfly and stays; strength 0 is the model without it")
    with writing(path):
        path.unlink() if path.is_file() or path.is_symlink() else shutil.rmtree(path)


def name_of_adapter(path: Path) -> str:
    """What it is called in requests."""
    return path.stem if path.suffix == ".gguf" else path.absolute().name
