"""JMESPath over what is known after an identity call, checked when a provider's file is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jmespath
from attrs import field, frozen
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions, signature

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FACTS = frozenset({"status", "response", "connection_config", "token"})
"""What an expression may begin with: the answer's status and JSON body, and what Nango keeps."""

_ALL_CHILDREN = frozenset(
    {
        "function_expression",
        "comparator",
        "or_expression",
        "and_expression",
        "not_expression",
        "multi_select_list",
        "multi_select_dict",
        "key_val_pair",
    }
)
"""Nodes whose children all see the same value; of any other node only the first child does."""


class ExpressionFailed(Exception):
    """The expression cannot be applied to this answer, e.g. `contains` on something without items."""


class _Functions(Functions):
    """JMESPath's functions, and those that account ids need."""

    @signature({"types": ["string", "null"]})
    def _func_lower(self, text: str | None) -> str | None:
        return text.lower() if text is not None else None


_OPTIONS = jmespath.Options(custom_functions=_Functions())


@frozen
class Expression:
    """A compiled expression; `reads` names the facts that it begins with."""

    text: str
    reads: frozenset[str]
    _parsed: Any = field(repr=False, eq=False)

    @classmethod
    def compile(cls, text: str) -> Expression:
        """Compile an expression.

        Raises:
            ValueError: it is no JMESPath, calls an unknown function or one with too few or too many
                arguments, or begins with an unknown fact.

        """
        try:
            parsed = jmespath.compile(text)
        except JMESPathError as error:
            raise ValueError(f"is not a JMESPath expression: {' '.join(str(error).split())}") from error
        except RecursionError:
            raise ValueError("is nested too deeply") from None
        for name, given in _calls(parsed.parsed):
            if name not in _Functions.FUNCTION_TABLE:
                raise ValueError(f"calls {name}(), which is not a function of JMESPath or ours")
            wanted = _Functions.FUNCTION_TABLE[name]["signature"]
            more = bool(wanted and wanted[-1].get("variadic"))
            if given < len(wanted) or (given > len(wanted) and not more):
                takes = f"{len(wanted)}{' or more' if more else ''}"
                raise ValueError(f"calls {name}() with {given} arguments, and it takes {takes}")
        reads = frozenset(_roots(parsed.parsed))
        if unknown := sorted(reads - FACTS):
            raise ValueError(f"begins with {unknown[0]!r}; known are {', '.join(sorted(FACTS))}")
        return cls(text, reads, parsed)

    def of(self, facts: Mapping[str, Any]) -> Any:
        """Evaluate over the facts.

        Raises:
            ExpressionFailed: the answer has another shape than the expression expects.

        """
        try:
            return self._parsed.search(facts, _OPTIONS)
        except JMESPathError as error:
            raise ExpressionFailed(f"{self.text}: {error}") from error

    def holds(self, facts: Mapping[str, Any]) -> bool:
        """Whether the result is true by JMESPath's rule: not null, false, nor empty.

        Raises:
            ExpressionFailed: as `of`.

        """
        result = self.of(facts)
        return result is not False and result not in (None, "", [], {})


def _calls(node: Any) -> Iterator[tuple[str, int]]:
    """Give each call's function and number of arguments: JMESPath looks at them only when it gets there."""
    if node["type"] == "function_expression":
        yield node["value"], len(node["children"])
    for child in _children(node):
        yield from _calls(child)


def _roots(node: Any) -> Iterator[str]:
    """Name the fields that are looked up in the facts themselves, not further down."""
    if node["type"] == "field":
        yield node["value"]
    elif node["type"] != "expref":
        children = _children(node)
        for child in children if node["type"] in _ALL_CHILDREN else children[:1]:
            yield from _roots(child)


def _children(node: Any) -> list[Any]:
    """Give a node's sub-expressions; those of a slice are numbers."""
    return [child for child in node["children"] if isinstance(child, dict)]
