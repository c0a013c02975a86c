"""
Which functions of a program a change of its source has changed.

Lines do not count: what stands below a removed line is the same function.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType

CO_OPTIMIZED = 0x1
"""Set for functions; not for a module's own code, nor a class's."""
Name = tuple[str, int]
"""A function's qualified name, and which one of that name it is."""


@dataclass(frozen=True)
class Change:
    """
    What differs: the functions whose own code does, with it, and those that contain such a function as well.

    *at_import*: what runs once when the module is imported differs, which no function's code shows.
    """

    own: dict[str, str]
    functions: dict[tuple[str, int], CodeType]
    """The new code by name and first line of the old."""
    at_import: bool


def change(source: str, changed: str, path: str) -> Change:
    """
    Compare two sources of the module at *path*.
    """
    before = dict(_named(compile(source, path, "exec")))
    after = dict(_named(compile(changed, path, "exec")))
    own, functions, at_import = {}, {}, False
    for name, old in before.items():
        new = after.get(name)
        if new is None or _deep(old) == _deep(new):
            continue
        differs = _shallow(old) != _shallow(new)
        if differs:
            own[old.co_qualname] = repr(_shallow(new))
        if old.co_flags & CO_OPTIMIZED:
            functions[old.co_qualname, old.co_firstlineno] = new
        else:
            at_import = at_import or differs
    return Change(own, functions, at_import)


def _named(code: CodeType) -> Iterator[tuple[Name, CodeType]]:
    seen: Counter[str] = Counter()
    for each in _all(code):
        yield (each.co_qualname, seen[each.co_qualname]), each
        seen[each.co_qualname] += 1


def _all(code: CodeType) -> Iterator[CodeType]:
    yield code
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _all(each)


def _shallow(code: CodeType) -> tuple[object, ...]:
    constants = [repr(each) for each in code.co_consts if not isinstance(each, CodeType)]
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return (code.co_code, constants, names, code.co_flags, code.co_argcount, code.co_exceptiontable)


def _deep(code: CodeType) -> tuple[object, ...]:
    return (_shallow(code), [_deep(each) for each in code.co_consts if isinstance(each, CodeType)])
