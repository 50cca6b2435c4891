"""How often each visitor may come: a bucket of tokens for each, filled at a constant rate."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

__all__ = ["Rates"]


@dataclass
class _Bucket:
    tokens: float
    filled: float  # when


class Rates:
    """A minute's worth of requests may come at once. One bucket per name of a key, so there are few of them."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def wait(self, name: str, per_minute: int) -> float:
        """Take one request of `name`: 0 if it may come now, otherwise the seconds until it may."""
        now = self._clock()
        bucket = self._buckets.setdefault(name, _Bucket(per_minute, now))
        bucket.tokens = min(per_minute, bucket.tokens + (now - bucket.filled) * per_minute / 60)
        bucket.filled = now
        if bucket.tokens < 1:
            return (1 - bucket.tokens) * 60 / per_minute
        bucket.tokens -= 1
        return 0.0
