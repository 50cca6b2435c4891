"""The names of the house: what is public says so, exists, and is all that one module takes from another."""

import ast
import inspect
from importlib import import_module
from pathlib import Path

import pytest

import gadfly
from gadfly.errors import GadflyError

SOURCE = Path(gadfly.__file__).parent
MODULES = {
    ".".join(("gadfly", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(SOURCE.rglob("*.py"))
}


def tree(name: str) -> ast.Module:
    return ast.parse(MODULES[name].read_text())


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_it_is_and_what_is_public(name: str) -> None:
    module = import_module(name)
    assert module.__doc__, f"{name} has no docstring"
    if len(tree(name).body) > 1:
        assert sorted(set(module.__all__)) == sorted(module.__all__), f"{name}.__all__ names something twice"
        missing = [public for public in module.__all__ if not hasattr(module, public)]
        assert not missing, f"{name}.__all__ names {missing}, which do not exist"


@pytest.mark.parametrize("name", MODULES)
def test_modules_take_from_each_other_only_what_is_public(name: str) -> None:
    private = [
        f"{node.module}.{alias.name}"
        for node in ast.walk(tree(name))
        if isinstance(node, ast.ImportFrom) and node.module in MODULES
        for alias in node.names
        if alias.name not in getattr(import_module(node.module), "__all__", ())
        and f"{node.module}.{alias.name}" not in MODULES
        and f"{node.module}.{alias.name}" != "gadfly._native"
    ]
    assert not private, f"{name} imports what is not in an __all__: {private}"


def test_imports_are_absolute_so_that_a_reader_can_follow_them() -> None:
    relative = [name for name in MODULES for node in ast.walk(tree(name)) if getattr(node, "level", 0)]
    assert not relative


def test_every_error_for_people_has_one_root() -> None:
    errors = import_module("gadfly.errors")
    assert all(issubclass(getattr(errors, name), GadflyError) for name in errors.__all__)
    elsewhere = [
        f"{name}.{node.name}"
        for name in MODULES
        for node in ast.walk(tree(name))
        if isinstance(node, ast.ClassDef) and name != "gadfly.errors" and node.name.endswith(("Error", "Exception"))
    ]
    assert not elsewhere, "errors that a user can cause belong into gadfly.errors"


def test_the_package_offers_what_it_promises() -> None:
    assert set(dir(gadfly)) == set(gadfly.__all__)
    for name in gadfly.__all__:
        assert getattr(gadfly, name).__module__.startswith("gadfly.")
    with pytest.raises(AttributeError, match="has no attribute"):
        _ = gadfly.nonsense


# What programs outside have been told they may rely on. Adding is fine; a change here breaks somebody's code.
PROMISES = {
    gadfly.load: ["model", "backend", "threads", "spec"],
    gadfly.LLM.logits: ["prompt"],
    gadfly.LLM.generate: ["prompt", "options"],
    gadfly.LLM.stream: ["prompt", "max_tokens", "stop", "ignore_eos"],
    gadfly.LLM.chat: ["persona", "wit"],
    gadfly.Tokenizer.from_file: ["path"],
    gadfly.Tokenizer.encode: ["text", "special", "bos"],
    gadfly.Tokenizer.decode: ["ids"],
    gadfly.Completion: ["text", "ids", "finish_reason", "usage"],
    gadfly.Sampling: ["temperature", "top_k", "top_p", "min_p", "seed"],
    import_module("gadfly.chat.session").Chat.send: ["text"],
    import_module("gadfly.chat.session").Chat.stream: ["text"],
}


@pytest.mark.parametrize(("promised", "parameters"), PROMISES.items(), ids=lambda item: getattr(item, "__name__", ""))
def test_promised_names_take_what_was_promised(promised: object, parameters: list[str]) -> None:
    assert callable(promised)
    assert set(parameters) <= set(inspect.signature(promised).parameters)
