"""What is said of an answer besides the answer: who gave it, when, and under which name it is remembered."""

from dataclasses import dataclass

__all__ = ["Stamp"]


@dataclass(frozen=True)
class Stamp:
    """`created` is in seconds since 1970, UTC; `fingerprint` names model, build and settings."""

    id: str
    created: float
    model: str
    fingerprint: str = ""
