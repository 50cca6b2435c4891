"""From a reference to the files that have to be here: looked up in the catalogue or asked of the hub.

Nothing is fetched or written yet. What happens with a plan: `pull`.
"""

import re
from dataclasses import dataclass

from gadfly.errors import NotFoundError, RequestError, UnsupportedError
from gadfly.hub.catalogue import Catalogue, Model
from gadfly.hub.connection import Connection
from gadfly.hub.hugging_face import HuggingFace, choose
from gadfly.hub.library import Entry, Library
from gadfly.hub.reference import HubChoice, Name
from gadfly.hub.sources import Address, HubFile, Wanted

__all__ = ["Plan", "catalogue_model", "name_of_file", "plan"]


@dataclass(frozen=True)
class Plan:
    """The model will be called `name` and consist of `files`, in order."""

    name: str
    reference: str
    files: tuple[Wanted, ...]
    licence: str | None

    def here(self, library: Library) -> Entry | None:
        """The entry, or None if it has to be fetched. Raises RequestError if the name is another model's."""
        entry = next((entry for entry in library.list() if entry.name == self.name), None)
        if entry is None or entry.missing():
            return None
        known = [wanted.sha256 for wanted in self.files]
        if [file.sha256 for file in entry.files] != known and (entry.reference != self.reference or None not in known):
            raise RequestError(
                f"the name {self.name} is taken by {entry.source}; choose another one: "
                f"gadfly pull {self.reference} --name NAME"
            )
        return entry


def plan(
    reference: Name | HubChoice | Address, name: str | None, library: Library, hub: HuggingFace, connection: Connection
) -> Plan:
    """Raises NotFoundError, UnsupportedError for what is planned only, DownloadError if the hub does not say."""
    match reference:
        case Name():
            model = catalogue_model(reference.name, library)
            if not model.files:
                raise UnsupportedError(
                    f"of {model.name} there are only the weights that its makers publish; convert them on the way: "
                    f"gadfly pull {model.name} --as q4_k (gadfly fit {model.name} tells whether it would run here)"
                )
            return Plan(name or model.name, str(reference), model.files, model.licence)
        case Address():
            return Plan(name or name_of_file(str(reference)), str(reference), (Wanted((reference,)),), None)
        case HubChoice():
            listing = hub.listing(reference.repository, reference.revision, connection)
            chosen = choose(listing, reference.wanted)
            files = tuple(
                Wanted((HubFile(listing.repository, entry.file, listing.revision),), entry.size, entry.sha256)
                for entry in chosen
            )
            return Plan(name or name_of_file(chosen[0].file), str(reference), files, listing.licence)


def catalogue_model(name: str, library: Library) -> Model:
    """The model of that name, if it runs. Raises NotFoundError with what may have been meant, UnsupportedError."""
    catalogue = Catalogue.load()
    model = catalogue.get(name) or catalogue.get(name.lower())
    if model is None:
        library.find(name)
        raise NotFoundError(f"the file of {name} is gone, and no source for it is known; gadfly rm {name} forgets it")
    if model.status == "planned":
        raise UnsupportedError(f"{model.name} is planned, not there yet: {model.note} (its page: {model.page})")
    return model


def name_of_file(file: str) -> str:
    """A name for a model out of the name of its file, whatever a server or a person called that."""
    stem = re.sub(r"(-\d{5}-of-\d{5})?\.gguf$", "", file.rpartition("/")[2].lower())
    return re.sub(r"[^a-z0-9._-]+", "-", stem)[:80].strip("._-") or "model"
