"""tools.toml under GADFLY_HOME: which tools there are, and which of them a persona may use. Nothing is on by itself.

    [servers.notes]
    command = ["python3", "notes.py"]         or url = "https://…/mcp", or searxng = "http://localhost:8888"
    folder = "~/notes"

    [personas]
    gadfly = ["notes/search", "web"]          one tool, or all of a server

Personas do not say themselves which tools they use: a card that comes from elsewhere must not bring itself any. The
file may hold secrets, so only its owner can read it.
"""

import fcntl
import os
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gadfly.chat.tools.server import ToolServer, is_server_name, read_server
from gadfly.errors import NotFoundError, RequestError, SettingsError

__all__ = ["ToolFile", "ToolSettings"]

_LIMIT = 1_000_000  # bytes
_MOST = 64  # servers, and tools of a persona


@dataclass(frozen=True)
class ToolSettings:
    """What the file says. `personas` maps a name to servers (`web`) and tools of servers (`notes/search`)."""

    servers: Mapping[str, ToolServer] = field(default_factory=dict)
    personas: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class ToolFile:
    """The file in the folder `home`; it need not exist. Reading raises SettingsError that names what is wrong."""

    def __init__(self, home: Path) -> None:
        self.path = home / "tools.toml"

    def read(self) -> ToolSettings:
        return self._settings(self._text())

    def allowed(self, persona: str) -> tuple[str, ...]:
        """What this persona may use."""
        return self.read().personas.get(persona, ())

    def add(self, server: ToolServer, replace: bool = False) -> None:
        """Raises RequestError if there is one of this name, unless it is to be replaced."""

        def change(document: Any) -> None:
            servers = document.setdefault("servers", {})
            if server.name in servers and not replace:
                raise RequestError(f"there are tools called {server.name} already; remove them, or choose another name")
            servers[server.name] = server.table

        self._change(change)

    def remove(self, name: str) -> None:
        """Forget a server, also where personas may use it. Raises NotFoundError."""

        def change(document: Any) -> None:
            if name not in document.get("servers", {}):
                raise NotFoundError(f"there are no tools called {name!r}; gadfly tools list shows what there is")
            del document["servers"][name]
            for persona, allowed in document.get("personas", {}).items():
                document["personas"][persona] = [one for one in allowed if one.partition("/")[0] != name]

        self._change(change)

    def allow(self, persona: str, allowed: Sequence[str]) -> None:
        """Let a persona use just these servers and tools. Raises NotFoundError for servers that are not there."""

        def change(document: Any) -> None:
            for one in allowed:
                if one.partition("/")[0] not in document.get("servers", {}):
                    raise NotFoundError(f"there are no tools called {one!r:.60}; gadfly tools list shows what there is")
            document.setdefault("personas", {})[persona] = list(allowed)

        self._change(change)

    def _text(self) -> str:
        try:
            with self.path.open("rb") as file:
                data = file.read(_LIMIT + 1)
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise SettingsError(f"{self.path} cannot be read: {error.strerror}") from error
        if len(data) > _LIMIT:
            raise SettingsError(f"{self.path} is larger than {_LIMIT} bytes; correct or delete it")
        try:
            return data.decode()
        except ValueError as error:
            raise SettingsError(f"{self.path} cannot be read as TOML: {error}; correct or delete it") from error

    def _settings(self, text: str) -> ToolSettings:
        try:
            table = tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            raise SettingsError(f"{self.path} cannot be read as TOML: {error}; correct or delete it") from error
        for key in table:
            if key not in ("servers", "personas"):
                raise SettingsError(f"{self.path}: there is no {key!r:.60}; there are servers and personas")
        servers = {
            name: read_server(name, values, f"{self.path}: servers.{name}")
            for name, values in self._table(table, "servers").items()
        }
        personas = {name: self._allowed(name, value) for name, value in self._table(table, "personas").items()}
        return ToolSettings(servers, personas)

    def _table(self, table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        values = table.get(key, {})
        if not isinstance(values, dict) or len(values) > _MOST:
            raise SettingsError(f"{self.path}: {key} is {values!r:.60}; expected a table of at most {_MOST}")
        return values

    def _allowed(self, persona: str, values: object) -> tuple[str, ...]:
        if isinstance(values, list) and len(values) <= _MOST and all(map(_is_choice, values)):
            return tuple(values)
        raise SettingsError(
            f'{self.path}: personas.{persona} is {values!r:.60}; expected a list such as ["web", "notes/search"]'
        )

    def _change(self, change: Callable[[Any], None]) -> None:
        """Change the file as it is written, comments and all; what comes of it has to be valid, or nothing happens."""
        import tomlkit  # only for those who change something

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._locked():
                text = self._text()
                self._settings(text)
                document = tomlkit.parse(text)
                change(document)
                changed = tomlkit.dumps(document)
                self._settings(changed)
                self._write(changed.encode())
        except OSError as error:
            raise SettingsError(f"{self.path} cannot be written: {error.strerror}") from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self.path.with_name("tools.lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _write(self, data: bytes) -> None:
        with tempfile.NamedTemporaryFile(dir=self.path.parent, prefix=".tools.", delete=False) as file:  # for us alone
            aside = Path(file.name)
            try:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                aside.replace(self.path)
            except BaseException:
                aside.unlink()
                raise


def _is_choice(value: object) -> bool:
    return isinstance(value, str) and len(value) <= 200 and is_server_name(value.partition("/")[0])
