"""The selectors of a PromQL query."""

import re

WORDS = {"and", "or", "unless", "bool", "offset"}
NAMELESS = re.compile(r"(?<![\w:])\{__name__[^}]*\}")
SELECTOR = re.compile(r"(?<![\w:.])([a-zA-Z_:][\w:]*)(\{[^}]*\})?(?!\s*\()(?![\w:])")


def selectors(query):
    """
    Return the names of series in *query*, with their label matchers.

    A function name that is mistaken for a series is one that Prometheus does not know.
    """
    query = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", query)
    query = re.sub(r"\[[^\]]*\]", " ", query)
    # The string arguments of a function; those of label matchers are in braces.
    query = re.sub(r'(\{[^}]*\})|"[^"]*"', lambda found: found[1] or " ", query)
    nameless = set(NAMELESS.findall(query))
    query = NAMELESS.sub(" ", query)
    return nameless | {name + labels for name, labels in SELECTOR.findall(query) if name not in WORDS}
