"""Everything that a user, a file or a client can cause to go wrong.

    GadflyError
    ├── ModelFileError        a model file is damaged, lies or is of a kind we do not read
    │   └── UnsupportedError  the file is sound, but needs something Gadfly does not have yet
    ├── NotFoundError         no such model, file, persona or conversation
    ├── DownloadError         a source did not deliver what it promised
    ├── TemplateError         a chat template failed, looped or reached for what it must not touch
    ├── RequestError          a value in a request is out of range
    │   └── ContextError      the prompt does not fit the model's context
    ├── CapacityError         memory, disk or pages ran out
    │   └── BusyError         too many requests wait already; it says when to come again
    ├── DeadlineError         an answer was not finished in the time its request allowed
    ├── ToolError             a tool, or the server it comes from, did not do what it should
    ├── SettingsError         a setting or a file of settings is wrong
    └── StoreError            the file of conversations is damaged, of a later Gadfly or not ours

A message names the value, the limit and the next step, on one line. Any other exception that reaches a user is a bug.
"""

__all__ = [
    "BusyError",
    "CapacityError",
    "ContextError",
    "DeadlineError",
    "DownloadError",
    "GadflyError",
    "ModelFileError",
    "NotFoundError",
    "RequestError",
    "SettingsError",
    "StoreError",
    "TemplateError",
    "ToolError",
    "UnsupportedError",
]


class GadflyError(Exception):
    """Root of every error that is not a bug in Gadfly."""


class ModelFileError(GadflyError):
    """A model file is damaged, lies about itself or is not what its name says."""


class UnsupportedError(ModelFileError):
    """The file is sound, but Gadfly does not support what it contains."""


class NotFoundError(GadflyError):
    """A model, file, persona or conversation does not exist."""


class DownloadError(GadflyError):
    """A source is unreachable or did not deliver what was promised."""


class TemplateError(GadflyError):
    """A chat template is invalid, too slow, too large or reaches outside its sandbox."""


class RequestError(GadflyError):
    """A value in a request is of the wrong type or out of range. `parameter` is its name there, if it has one."""

    def __init__(self, message: str, parameter: str | None = None) -> None:
        super().__init__(message)
        self.parameter = parameter


class ContextError(RequestError):
    """A prompt is longer than the context it has to fit into."""


class CapacityError(GadflyError):
    """Memory, disk space or cache pages ran out."""


class BusyError(CapacityError):
    """No more requests are taken now; `retry_after` is an estimate of the seconds until that changes."""

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DeadlineError(GadflyError):
    """An answer was not finished in the time that its request allowed. What there was of it is in its handle."""


class ToolError(GadflyError):
    """A tool cannot be called, or its server is unreachable, silent, too talkative or refuses."""


class SettingsError(GadflyError):
    """A setting, or the file that holds it, is wrong."""


class StoreError(GadflyError):
    """The file that keeps conversations is damaged, of a later Gadfly, or another program's."""
