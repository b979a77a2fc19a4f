"""Runs the small part of Python that the prompts use, without exec."""

import ast
import operator
import re
from collections.abc import Callable
from typing import Any

from tests.local.solvers.solution import Solution, language_of

_BLOCK = re.compile(r"```python\n(.*?)\n```", re.DOTALL)
_OPERATORS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Eq: operator.eq,
}  # fmt: skip
_CALLS: dict[str, Callable[[Any], Any]] = {
    "sum": sum, "max": max, "sorted": sorted, "range": range,
}  # fmt: skip


def code_output(text: str) -> Solution | None:
    block = _BLOCK.search(text)
    if block is None:
        return None
    program = ast.parse(block[1]).body
    machine = _Machine()
    machine.run(program)
    # The first statement sets the value and the last one prints it.
    return Solution("code_output", language_of(text), len(program) - 2, "\n".join(machine.printed))


class _Machine:
    """Variables and what was printed."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.printed: list[str] = []

    def run(self, statements: list[ast.stmt]) -> None:
        for statement in statements:
            self._step(statement)

    def _step(self, statement: ast.stmt) -> None:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self.values[name] = self.value(value)
            case ast.AugAssign(target=ast.Name(id=name), op=op, value=value):
                self.values[name] = _OPERATORS[type(op)](self.values[name], self.value(value))
            case ast.If(test=test, body=body, orelse=orelse):
                self.run(body if self.value(test) else orelse)
            case ast.For(target=ast.Name(id=name), iter=items, body=body):
                for item in self.value(items):
                    self.values[name] = item
                    self.run(body)
            case ast.Expr(value=ast.Call(func=ast.Name(id="print"), args=[argument])):
                self.printed.append(str(self.value(argument)))
            case ast.Expr(value=ast.Call(func=ast.Attribute(attr="append", value=v), args=[a])):
                self.value(v).append(self.value(a))
            case _:
                raise NotImplementedError(ast.dump(statement))

    def value(self, node: ast.expr | None) -> Any:
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name):
                return self.values[name]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self.value(operand)
            case ast.BinOp(left=left, op=op, right=right):
                return _OPERATORS[type(op)](self.value(left), self.value(right))
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return _OPERATORS[type(op)](self.value(left), self.value(right))
        return self._collection(node)

    def _collection(self, node: ast.expr | None) -> Any:
        match node:
            case ast.List(elts=items):
                return [self.value(item) for item in items]
            case ast.Call(func=ast.Name(id=name), args=[argument]):
                return _CALLS[name](self.value(argument))
            case ast.Subscript(value=value, slice=ast.Slice(lower=lower, upper=None, step=step)):
                start = None if lower is None else self.value(lower)
                return self.value(value)[start :: None if step is None else self.value(step)]
            case ast.Subscript(value=value, slice=index):
                return self.value(value)[self.value(index)]
            case ast.ListComp(elt=elt, generators=[ast.comprehension(target=ast.Name(id=e)) as g]):
                return [self._with(e, item, elt) for item in self.value(g.iter)]
        raise NotImplementedError(ast.dump(node) if node else "nothing")

    def _with(self, name: str, value: object, node: ast.expr) -> Any:
        self.values[name] = value
        return self.value(node)
