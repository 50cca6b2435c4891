"""gadfly tools: which tools there are for models, and who may use them."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import click

from gadfly.chat.persona import load_persona
from gadfly.chat.tools import Patience
from gadfly.chat.tools.file import ToolFile, ToolSettings
from gadfly.chat.tools.server import SECONDS, ToolServer, read_server
from gadfly.chat.tools.toolbox import open_source
from gadfly.cli.printable import printable
from gadfly.errors import RequestError
from gadfly.settings import home, load_settings

__all__ = ["command"]

TEST_QUERY = "gadfly"


@click.group("tools")
def command() -> None:
    """Give a model tools: programs, servers, a web search.

    Tools come from servers that speak MCP, the Model Context Protocol, and from a search through SearXNG. They are off
    until a persona is allowed to use them, and every call is shown and asked for.

    \b
    gadfly tools add notes -- python3 notes_server.py
    gadfly tools add wiki --url https://example.org/mcp --header "Authorization=Bearer ..."
    gadfly tools add web --searxng http://localhost:8888
    gadfly tools test web
    gadfly tools allow gadfly web notes/search
    """


@command.command("add")
@click.argument("name")
@click.argument("program", nargs=-1, type=click.UNPROCESSED)
@click.option("--url", help="The address of an MCP server, instead of a program.")
@click.option("--searxng", help="The address of a SearXNG to search the web with.")
@click.option("--env", "env", multiple=True, metavar="NAME[=VALUE]", help="What the program finds in its environment.")
@click.option("--header", "headers", multiple=True, metavar="NAME=VALUE", help="What is sent to the address.")
@click.option("--folder", help="Where the program runs. Default: here.")
@click.option("--seconds", type=float, help=f"How long a call may take. Default: {SECONDS:g}")
def add(name: str, program: Sequence[str], env: Sequence[str], headers: Sequence[str], **given: Any) -> None:
    """Add a program that speaks MCP (behind --), or the address of a server.

    A program gets nothing of this environment but PATH, HOME and the like, and what --env says; NAME alone hands on the
    value that it has here.
    """
    table = {key: value for key, value in given.items() if value is not None}
    if program:
        table = {"command": list(program), "folder": str(Path.cwd()), **table}
    if env:
        table["env"] = dict(_variable(one) for one in env)
    if headers:
        table["headers"] = dict(_pair(one, "--header") for one in headers)
    ToolFile(home()).add(read_server(name, table, name))
    click.echo(f"{name} is added. See what it can do: gadfly tools test {name}")
    click.echo(f"No persona uses it yet: gadfly tools allow PERSONA {name}")


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
def show(as_json: bool) -> None:
    """Show which tools there are, and who may use them."""
    settings = ToolFile(home()).read()
    facts = [_facts(server, settings) for server in settings.servers.values()]
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    for each in facts:
        users = ", ".join(f"{persona} ({', '.join(allowed)})" for persona, allowed in each["personas"].items())
        place = printable(each["place"])
        click.echo(f"{each['name']:<16}  {each['kind']:<8}  {place}\n{'':<16}  for {users or 'nobody yet'}")
    if not facts:
        click.echo("There are no tools. Add some: gadfly tools add --help")


@command.command("remove")
@click.argument("names", nargs=-1, required=True)
def remove(names: Sequence[str]) -> None:
    """Remove tools: they are forgotten, and nobody may use them."""
    for name in names:
        ToolFile(home()).remove(name)
        click.echo(f"{name} is removed.")


@command.command("allow")
@click.argument("persona")
@click.argument("what", nargs=-1, required=True)
def allow(persona: str, what: Sequence[str]) -> None:
    """Let a persona use tools: all of NAME, or one, NAME/TOOL. Every call is still asked for."""
    load_persona(persona)
    file = ToolFile(home())
    file.allow(persona, list(dict.fromkeys([*file.allowed(persona), *what])))
    click.echo(f"{persona} may use {', '.join(file.allowed(persona))}.")


@command.command("forbid")
@click.argument("persona")
@click.argument("what", nargs=-1)
def forbid(persona: str, what: Sequence[str]) -> None:
    """Take tools from a persona: those named, or all of them."""
    file = ToolFile(home())
    before = file.allowed(persona)
    if unknown := [one for one in what if one not in before]:
        raise RequestError(f"{persona} may use {', '.join(before) or 'no tools'}, and not {unknown[0]!r:.60}")
    file.allow(persona, [one for one in before if what and one not in what])
    click.echo(f"{persona} may use {', '.join(file.allowed(persona)) or 'no tools'}.")


@command.command("test")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
def test(name: str, as_json: bool) -> None:
    """Start a server, or reach it, and show its tools. A SearXNG is asked one thing."""
    settings = ToolFile(home()).read()
    if name not in settings.servers:
        raise RequestError(f"there are no tools called {name!r}; gadfly tools list shows what there is")
    server = settings.servers[name]
    source = open_source(server, load_settings().offline)
    began = perf_counter()
    try:
        tools, problems = source.tools(Patience(server.seconds))
        if server.searxng:
            source.call("search", {"query": TEST_QUERY}, Patience(server.seconds))
    finally:
        source.close()
    seconds = perf_counter() - began
    if as_json:
        listed = [{"name": one.name, "description": one.description, "parameters": one.parameters} for one in tools]
        click.echo(json.dumps({"name": name, "tools": listed, "problems": problems, "seconds": seconds}, indent=2))
    else:
        for tool in tools:
            click.echo(f"{name}/{tool.name}  {_first_line(tool.description)}")
        for problem in problems:
            click.echo(f"! {problem}")
        click.echo(f"{len(tools)} {'tool' if len(tools) == 1 else 'tools'} in {seconds:.1f} s.")
    if problems:
        raise click.exceptions.Exit(1)


def _facts(server: ToolServer, settings: ToolSettings) -> dict[str, Any]:
    """What is known of a server, without what may be secret."""
    personas = {
        persona: [one for one in allowed if one.partition("/")[0] == server.name]
        for persona, allowed in settings.personas.items()
    }
    return {
        "name": server.name,
        "kind": server.kind,
        "place": server.place,
        "personas": {persona: allowed for persona, allowed in personas.items() if allowed},
    }


def _pair(text: str, flag: str) -> tuple[str, str]:
    key, found, value = text.partition("=")
    if not found:
        raise RequestError(f"{flag} is {text!r:.60}; expected NAME=VALUE")
    return key, value


def _variable(text: str) -> tuple[str, str]:
    if "=" in text:
        return _pair(text, "--env")
    if text not in os.environ:
        raise RequestError(f"--env is {text!r:.60}, which is not set here; say {text:.60}=VALUE")
    return text, os.environ[text]


def _first_line(text: str) -> str:
    line = text.strip().partition("\n")[0]
    return line if len(line) <= 80 else f"{line[:79]}…"
