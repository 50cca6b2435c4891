"""gadfly calibrate: which columns of a model's matrices matter most, measured on a text."""

import json
from collections.abc import Sequence
from pathlib import Path

import click

from gadfly.cli.progress import showing_progress
from gadfly.convert.calibrate import Calibration, chunked
from gadfly.convert.importance import write_importance
from gadfly.errors import NotFoundError, RequestError
from gadfly.hub.library import Library
from gadfly.settings import home
from gadfly.text import Tokenizer
from gadfly.weights.load import open_model

__all__ = ["command"]

LONGEST_TOKEN = 16  # characters, on average over any text: what is read of files that are much too long


@click.command("calibrate")
@click.argument("model")
@click.argument("texts", metavar="TEXT...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The file to write, a .gguf.")
@click.option("--context", type=click.IntRange(8, 2**20), default=512, help="Tokens that are read at once.  [512]")
@click.option("--tokens", type=click.IntRange(1), default=100_000, help="Read so many at most.  [100000]")
@click.option("--json", "as_json", is_flag=True, help="Print what was measured as JSON on stdout.")
def command(model: str, texts: Sequence[Path], out: Path, context: int, tokens: int, as_json: bool) -> None:
    """Run MODEL over texts and measure what each column of its matrices is multiplied with: its importance.

    gadfly convert spares what matters: a few bits per weight then lose less. The text should be like what the model
    will read; 20,000 tokens are enough for most. Ctrl-C ends the reading, and what was measured is written.
    The file is llama.cpp's imatrix, which both programs read.

    \b
    gadfly calibrate smollm2 book.txt --out smollm2.imatrix.gguf
    gadfly convert smollm2 smollm2-q3.gguf --as q3_k --importance smollm2.imatrix.gguf
    """
    if out.exists():
        raise RequestError(f"{out} exists; remove it or choose another name")
    path = Library(home()).require(model)
    opened = open_model(path)
    if opened.tokenizer is None:
        raise RequestError(f"{path} has no tokenizer, so it cannot read text; measure on a file that has one")
    tokenizer = Tokenizer.from_file(opened.tokenizer)
    chunks = read(texts, tokenizer, min(context, opened.spec.context), tokens)
    calibration = Calibration(opened)
    stopped = run(calibration, chunks, tokenizer)
    if not calibration.tokens:
        click.echo(f"Stopped before anything was measured; {out} was not written.", err=True)
        raise click.Abort
    sums, counts = calibration.by_tensor()
    write_importance(out, sums, counts, ", ".join(map(str, texts)))
    unseen, experts = calibration.unseen()
    if as_json:
        measured = {"path": str(out), "tokens": calibration.tokens, "matrices": len(sums), "stopped": stopped}
        click.echo(json.dumps({**measured, "experts": experts, "unseen_experts": unseen}))
        return
    if stopped:
        click.echo("Stopped; what was measured so far is kept.", err=True)
    click.echo(f"{out}: the importance of {len(sums)} matrices, from {calibration.tokens:,} tokens.")
    if unseen:
        click.echo(
            f"No token went to {unseen} of {experts} experts, whose columns all count alike; more text may help."
        )
    click.echo(f"Use it: gadfly convert {model} small.gguf --as q3_k --importance {out}")


def read(texts: Sequence[Path], tokenizer: Tokenizer, context: int, tokens: int) -> list[list[int]]:
    """Chunks of all texts, of `tokens` tokens at most."""
    chunks: list[list[int]] = []
    left = tokens
    for path in texts:
        try:
            with path.open(encoding="utf-8") as file:
                text = file.read(LONGEST_TOKEN * left)
        except OSError as error:
            raise NotFoundError(f"{path} cannot be read: {error.strerror}; give a file of text") from None
        except UnicodeDecodeError:
            raise RequestError(f"{path} is no text in UTF-8; give a file of text") from None
        for chunk in chunked(tokenizer, text, context):
            if left:
                chunks.append(chunk[:left])
                left -= len(chunks[-1])
    if not chunks:
        raise RequestError(f"there is no text in {', '.join(map(str, texts))}; give a file of text")
    return chunks


def run(calibration: Calibration, chunks: Sequence[Sequence[int]], tokenizer: Tokenizer) -> bool:
    """Read all chunks, or until Ctrl-C: whether it was pressed. Progress is in bytes of text."""

    def size(chunk: Sequence[int]) -> int:
        return sum(len(tokenizer.token_bytes(token)) for token in chunk)

    done, total = 0, sum(map(size, chunks))
    try:
        with showing_progress() as progress:
            for step in calibration.read(chunks):
                done += sum(map(size, step))
                progress.advance(done, total)
    except KeyboardInterrupt:
        return True
    return False
