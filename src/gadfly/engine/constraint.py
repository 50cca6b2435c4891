"""What an answer is held to: which tokens may come next, decided outside of the engine.

The engine asks for the next mask when it draws, and says what it has drawn; between the two lies a whole step, in
which a constraint may work out the mask beside it. `gadfly.text.grammar` makes constraints of schemas and grammars.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Constraint", "ConstraintSource"]


class Constraint(Protocol):
    """Of one answer, used by one thread at a time."""

    def forbidden(self) -> NDArray[np.bool_]:
        """Of every token (vocab,), whether it must not come next. Raises RequestError if it cannot be decided."""

    def advance(self, token: int) -> bool:
        """A token has been drawn; True if the answer is complete and nothing may follow."""


ConstraintSource = Callable[[], Constraint]  # a constraint at its beginning
