"""Rewrites a parsed chat template so that every step of it goes through a method of its sandbox.

jinja2 lets an environment intercept calls, attributes and arithmetic; loops, comparisons, slices, literals and the
operator `~` it compiles to plain Python. Here they become calls of methods of the environment, which charge for them:
see `gadfly.text.sandbox`. Statements that load other templates or change the escaping are refused.
"""

from jinja2 import nodes
from jinja2.environment import Environment
from jinja2.exceptions import TemplateAssertionError
from jinja2.visitor import NodeTransformer

__all__ = ["metered"]

_Refused = nodes.Extends | nodes.Include | nodes.Import | nodes.FromImport | nodes.ScopedEvalContextModifier


def metered(template: nodes.Template, environment: Environment) -> nodes.Template:
    """The template, rewritten in place. Raises jinja2's TemplateAssertionError for what is refused."""
    Meter().visit(template)
    template.set_environment(environment)
    return template


class Meter(NodeTransformer):
    def visit(self, node: nodes.Node) -> nodes.Node:
        self.generic_visit(node)
        return _through_sandbox(node)


def _through_sandbox(node: nodes.Node) -> nodes.Node:
    match node:
        case nodes.For():
            node.iter = _call("ticking", node.iter)
        case nodes.Compare() | nodes.Operand():
            node.expr = _call("weighed", node.expr)
        case nodes.Pair():
            node.key = _call("weighed", node.key)  # it is hashed
        case nodes.List() | nodes.Dict():
            return _call("made", node)
        case nodes.Tuple() if node.ctx == "load":
            return _call("made", node)
        case nodes.Concat():
            return _call("joined", nodes.List(node.nodes, lineno=node.lineno))
        case nodes.Getitem(arg=nodes.Slice() as part):
            nothing = nodes.Const(None, lineno=node.lineno)
            return _call("sliced", node.node, part.start or nothing, part.stop or nothing, part.step or nothing)
        case nodes.Call() | nodes.Filter() | nodes.Test() if node.dyn_args or node.dyn_kwargs:
            raise TemplateAssertionError("arguments with a star are not supported", node.lineno)
        case _ if isinstance(node, _Refused):
            raise TemplateAssertionError(f"{type(node).__name__} is not supported", node.lineno)
    return node


def _call(method: str, *values: nodes.Node) -> nodes.Call:
    line = values[0].lineno
    return nodes.Call(nodes.EnvironmentAttribute(method, lineno=line), list(values), [], None, None, lineno=line)
