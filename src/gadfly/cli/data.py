"""gadfly data: files to learn from, looked at, taken in and divided before anything is learnt."""

import click

from gadfly.cli.data_chats import from_chats
from gadfly.cli.data_check import check
from gadfly.cli.data_import import take_in
from gadfly.cli.data_split import split
from gadfly.cli.data_synth import synth
from gadfly.cli.data_view import view

__all__ = ["command"]


@click.group("data")
def command() -> None:
    """Check, show, take in, divide, make and gather examples to learn from: lines of JSON, as gadfly train takes them.

    \b
    gadfly data check biscuits --model smollm2
    gadfly data view biscuits/train.jsonl --model smollm2 --limit 1
    gadfly data import alpaca.json --out chats.jsonl
    gadfly data split chats.jsonl --out chats --valid 0.1
    gadfly data synth prompts.txt --teacher http://localhost:8000 --out lessons.jsonl
    gadfly data from-chats --out mine
    """


for one in (check, view, take_in, split, synth, from_chats):
    command.add_command(one)
