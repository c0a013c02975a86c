"""
Generates mutants: the source of a module with one change each.

Those of Python are mostly cosmic-ray's; those of Lua are our own.
"""

import ast
import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

# One change at each place: of what each operator may become, the most telling.
OPERATORS = (
    *(f"core/ReplaceComparisonOperator_{pair}" for pair in (
        "Eq_NotEq", "NotEq_Eq", "Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt", "Is_IsNot", "IsNot_Is",
    )),
    *(f"core/ReplaceBinaryOperator_{pair}" for pair in (
        "Add_Sub", "Sub_Add", "Mul_Add", "FloorDiv_Mul", "Div_Mul", "Mod_Add", "BitOr_BitAnd", "BitAnd_BitOr",
    )),
    "core/ReplaceUnaryOperator_USub_UAdd",
    "core/ReplaceUnaryOperator_Delete_Not",
    "core/AddNot",
    "core/ReplaceTrueWithFalse",
    "core/ReplaceFalseWithTrue",
    "core/ReplaceAndWithOr",
    "core/ReplaceOrWithAnd",
    "core/ReplaceBreakWithContinue",
    "core/ReplaceContinueWithBreak",
    "core/NumberReplacer",
    "core/ZeroIterationForLoop",
)  # fmt: skip


NO_PROGRAM = ""


@dataclass(frozen=True)
class Mutant:
    """A changed source; *line* is the original, *becomes* the replacement."""

    module: str
    source: str
    number: int
    line: str
    becomes: str


def of_python(module: str, source: str) -> list[Mutant]:
    """
    Return the mutants of a Python module that are not equivalent programs.
    """
    before = _meaning(source)
    found: dict[str, Mutant] = {}
    for changed in (*_by_operators(source), *_emptied(source)):
        if _meaning(changed) not in (NO_PROGRAM, before):
            found.setdefault(changed, _described(module, source, changed))
    return list(found.values())


def _by_operators(source: str) -> Iterator[str]:
    # Only this command has the library, in a folder of its own.
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator

    operators = [get_operator(name)() for name in OPERATORS]
    text = _Text(source)
    for node in [*ast_nodes(get_ast(source))]:
        for operator in operators:
            for index in range(len([*operator.mutation_positions(node)])):
                # With its own parent, of which a copy would bring the whole program along.
                changed = operator.mutate(copy.deepcopy(node, {id(node.parent): node.parent}), index)
                yield text.with_(changed.get_code(), node.get_start_pos_of_prefix(), node.end_pos)


class _Text:
    """A source in which a part is replaced by its place."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._starts = [0, *accumulate(len(line) for line in source.splitlines(keepends=True))]

    def with_(self, replacement: str, start: tuple[int, int], end: tuple[int, int]) -> str:
        return self._source[: self._at(start)] + replacement + self._source[self._at(end) :]

    def _at(self, place: tuple[int, int]) -> int:
        line, column = place
        return self._starts[line - 1] + column


def _emptied(source: str) -> Iterator[str]:
    """
    Yield a mutant of every function with an empty body.
    """
    lines = source.splitlines(keepends=True)
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        documented = ast.get_docstring(node) is not None
        if documented and len(node.body) == 1:
            # Declared, for others to do.
            continue
        first, last = node.body[int(documented)], node.body[-1]
        indent = " " * first.col_offset
        yield "".join([*lines[: first.lineno - 1], f"{indent}return None\n", *lines[last.end_lineno :]])


def _meaning(source: str) -> str:
    """
    Return the program without what has no effect at run time: annotations, and the options of dataclasses.
    """
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return NO_PROGRAM
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dataclass":
            node.keywords = []
    return ast.dump(tree)


def _described(module: str, source: str, changed: str) -> Mutant:
    before, after = source.splitlines(), changed.splitlines()
    pairs = enumerate(zip(before, after, strict=False), 1)
    number, (line, becomes) = next((n, pair) for n, pair in pairs if pair[0] != pair[1])
    return Mutant(module, changed, number, line.strip(), becomes.strip())


LUA = (
    (r"==", "~="), (r"~=", "=="), (r"<=", "<"), (r">=", ">"), (r"<(?!=)", "<="), (r"(?<!-)>(?!=)", ">="),
    (r" \+ ", " - "), (r" - ", " + "), (r" \* ", " + "), (r" / ", " * "), (r"\band\b", "or"), (r"\bor\b", "and"),
    (r"\bnot\b", ""), (r"\btrue\b", "false"), (r"\bfalse\b", "true"), (r"(?<![\w.%])0(?![\w.])", "1"),
    (r"(?<![\w.%])1(?![\w.])", "2"), (r"\bmath\.min\b", "math.max"), (r"\bmath\.max\b", "math.min"),
)  # fmt: skip
CALL = re.compile(r"^\s*(?:redis\.call|table\.insert|[a-z_]+)\(.*\)$")


def of_lua(module: str, source: str) -> list[Mutant]:
    """
    Return the mutants of a Lua script: another operator or number, or a call removed; comments and strings are kept.
    """
    lines = source.splitlines()
    found = []
    for number, line in enumerate(lines, 1):
        for becomes in _changed_lua(line):
            changed = "\n".join([*lines[: number - 1], becomes, *lines[number:]]) + "\n"
            found.append(Mutant(module, changed, number, line.strip(), becomes.strip()))
    return found


def _changed_lua(line: str) -> Iterator[str]:
    code = re.sub(r"'[^']*'", lambda text: "'" * len(text[0]), line.partition("--")[0])
    for pattern, replacement in LUA:
        for place in re.finditer(pattern, code):
            yield line[: place.start()] + replacement + line[place.end() :]
    if CALL.match(code.rstrip()):
        yield ""
