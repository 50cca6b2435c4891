"""Personas as the app shows and edits them. A user's own are TOML files under GADFLY_HOME; ours are never changed.

What a persona is, and what is wrong with one: `gadfly.chat.persona`.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import tomlkit

from gadfly.chat.persona import NAME, Persona, load_persona, persona_names, read_persona
from gadfly.errors import NotFoundError, RequestError, SettingsError
from gadfly.hub.disk import write_whole, writing

__all__ = ["PersonaFiles"]

_MOST = 500  # files


class PersonaFiles:
    """`folder` has a user's own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def list(self) -> list[dict[str, Any]]:
        """Names, who they are and how they greet at each wit; a file that is damaged says how."""
        return [self._summary(name) for name in persona_names(self._folder)]

    def show(self, name: str) -> dict[str, Any]:
        """All of one. Raises NotFoundError, or SettingsError if its file is damaged."""
        persona = load_persona(name, self._folder)
        return {**_table(persona), "own": self._is_own(name)}

    def save(self, name: str, table: Mapping[str, Any]) -> dict[str, Any]:
        """Write one. Raises RequestError saying what is wrong with it."""
        if not NAME.fullmatch(name):
            raise RequestError(f"{name!r:.60} is no name for a persona; use up to 40 small letters, digits, - and _")
        names = persona_names(self._folder)
        if name in names and not self._is_own(name):
            raise RequestError(f"{name} comes with Gadfly and stays as it is; save your version under another name")
        if name not in names and len(names) >= _MOST:
            raise RequestError(f"there are {_MOST} personas already; delete one first")
        try:
            data = tomlkit.dumps({**table, "name": name}).encode()
            read_persona(data, name, name)
        except (SettingsError, ValueError, TypeError) as error:
            raise RequestError(str(error).removesuffix("; correct or delete it")) from None
        with writing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            write_whole(self._folder / f"{name}.toml", data)
        return self.show(name)

    def free_name(self, wished: str) -> str:
        """The name itself, or one like it that no persona has yet."""
        names, name, number = set(persona_names(self._folder)), wished, 2
        while name in names:
            name, number = f"{wished[:36]}-{number}", number + 1
        return name

    def delete(self, name: str) -> None:
        """Raises NotFoundError, or RequestError for one of ours."""
        if self._is_own(name):
            with writing(self._folder):
                (self._folder / f"{name}.toml").unlink(missing_ok=True)
        elif name in persona_names(self._folder):
            raise RequestError(f"{name} comes with Gadfly, so it is not yours to delete")
        else:
            raise NotFoundError(f"there is no persona {name!r:.60}")

    def _is_own(self, name: str) -> bool:
        return NAME.fullmatch(name) is not None and (self._folder / f"{name}.toml").is_file()

    def _summary(self, name: str) -> dict[str, Any]:
        try:
            persona = load_persona(name, self._folder)
        except (SettingsError, NotFoundError) as error:
            return {"name": name, "description": "", "own": self._is_own(name), "voices": [], "error": str(error)}
        voices = [{"wit": voice.wit, "greeting": voice.greeting} for voice in persona.voices]
        return {"name": name, "description": persona.description, "own": self._is_own(name), "voices": voices}


def _table(persona: Persona) -> dict[str, Any]:
    """As `save` takes it."""
    sampling = {key: value for key, value in asdict(persona.sampling).items() if key not in ("seed", "logit_bias")}
    return {
        "name": persona.name,
        "description": persona.description,
        "stop": list(persona.stop),
        "sampling": sampling,
        "voices": [
            {**asdict(voice), "examples": [list(example) for example in voice.examples]} for voice in persona.voices
        ],
    }
