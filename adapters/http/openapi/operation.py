"""What the documentation says of a route that its types do not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from adapters.http.requests import Nothing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from msgspec import Struct

    from domain.errors import DomainError


@frozen(kw_only=True)
class Answer:
    """One status with which a call goes well.

    Attributes:
        description: when it comes.
        types: the envelopes that it may be; none where there is no JSON.
        examples: envelopes, or texts for `html`, by title.
        html: a browser gets a page instead, or, without types, everybody does.
        text: it is plain text.
        headers: those beyond the ones that every answer has, by name, with their meaning.

    """

    description: str
    types: Sequence[Any] = ()
    examples: Mapping[str, Any] = field(factory=dict)
    html: bool = False
    text: bool = False
    headers: Mapping[str, str] = field(factory=dict)


@frozen(kw_only=True)
class Operation:
    """One call, in a caller's words.

    Attributes:
        id: a name for generated clients.
        tag: the chapter.
        answers: by status.
        refusals: the domain's errors that this call may end in, as they would be told.
        query: the parameters that are known.
        open_query: others are taken too: "provider" for the provider's, "any" where they are ignored.
        headers: request headers by name, as JSON Schemas with a description.
        body: its type. None: no body is read; `Nothing`: none is needed, an empty object is as good; `dict`:
            read without being validated.
        body_optional: it may be left out.
        body_examples: by title.
        path: what the names in braces mean, as JSON Schemas with a description.
        html: refusals are pages for browsers.
        security: a scheme other than the API key, by name.

    """

    id: str
    tag: str
    summary: str
    description: str = ""
    answers: Mapping[int, Answer]
    refusals: Sequence[DomainError] = ()
    query: type[Struct] = Nothing
    open_query: str | None = None
    headers: Mapping[str, Mapping[str, Any]] = field(factory=dict)
    body: Any = None
    body_optional: bool = False
    body_examples: Mapping[str, Any] = field(factory=dict)
    path: Mapping[str, Mapping[str, Any]] = field(factory=dict)
    html: bool = False
    security: str | None = None
