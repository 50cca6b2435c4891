"""One page per architecture, found by what a GGUF file or a config.json says that it is."""

from collections.abc import Mapping

from gadfly.arch import gemma3, grok1, grok2, llama, mistral, mixtral, phi3, qwen2, qwen3, qwen3moe
from gadfly.arch.page import Config, Dialect, Page
from gadfly.errors import UnsupportedError

__all__ = ["MIXTURES", "PAGES", "Config", "Dialect", "Page", "page_for"]

PAGES: tuple[Page, ...] = (
    llama.PAGE,
    mistral.PAGE,
    mixtral.PAGE,
    qwen2.PAGE,
    qwen3.PAGE,
    qwen3moe.PAGE,
    gemma3.PAGE,
    phi3.PAGE,
    grok1.PAGE,
    grok2.PAGE,
)

# Pages of dense decoders, by name, and those of the same with experts for a feed-forward.
MIXTURES: Mapping[str, Page] = {
    llama.PAGE.name: mixtral.PAGE,
    mistral.PAGE.name: mixtral.PAGE,
    qwen3.PAGE.name: qwen3moe.PAGE,
}


def page_for(config: Config, name: str) -> Page:
    """The page of a model that calls itself `name`: a GGUF architecture, or a class of config.json.

    Raises UnsupportedError, listing what there is.
    """
    called = {page: {page.gguf_name} if config.gguf is not None else {page.hf_name, *page.hf_also} for page in PAGES}
    for page, names in called.items():
        if name in names and page.claims(config):
            return page
    known = ", ".join(sorted(set().union(*called.values())))
    raise UnsupportedError(
        f"{config.source}: the architecture is {name[:40]!r}, which Gadfly does not run yet; it runs {known}"
    )
