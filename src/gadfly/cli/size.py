"""Sizes that are given on a command line."""

import click

from gadfly.settings import bytes_of

__all__ = ["SIZE"]


class Size(click.ParamType[int]):
    """120GB, 1.5GiB or a number of bytes."""

    name = "size"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        size = bytes_of(value)
        if size is None:
            self.fail(f"{value!r} is not a size; write it as 120GB or 1.5GiB", param, ctx)
        return size


SIZE = Size()
