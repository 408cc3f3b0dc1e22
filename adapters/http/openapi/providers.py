"""What the documentation says of the providers this deployment knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adapters.http.requests import END

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.provider import Parameter, Provider

    Schema = dict[str, Any]


def oauth_keys(providers: Sequence[Provider]) -> list[str]:
    """Give the providers that can be authorized by OAuth."""
    return [provider.key for provider in providers if provider.oauth]


def query_parameters(providers: Sequence[Provider]) -> list[Schema]:
    """Describe every query parameter that some provider takes on auth-url.

    OpenAPI cannot say which goes with which provider: the descriptions do.
    """
    takers: dict[str, list[tuple[Provider, Parameter]]] = {}
    for provider in providers:
        for parameter in provider.oauth.parameters if provider.oauth else ():
            takers.setdefault(parameter.name, []).append((provider, parameter))
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": " ".join(
                f"{parameter.label}: {'required' if parameter.required else 'optional'} for {provider.key}."
                for provider, parameter in taken
            )
            + " Other providers do not take it.",
            "schema": {"type": "string", "anyOf": [_schema(parameter) for _, parameter in taken]}
            if len(taken) > 1
            else _schema(taken[0][1]),
        }
        for name, taken in takers.items()
    ]


def new_connection(base: Schema, providers: Sequence[Provider]) -> dict[str, Schema]:
    """Say what a create needs for each provider: one alternative for all that need nothing, else its own.

    Each is a component: generators of clients lose alternatives that have no name. They make classes of the
    names, so that no name may change with the other providers.
    """
    easy = [provider.key for provider in providers if provider.oauth and not provider.oauth.parameters]
    named = {"NewConnectionByOAuth": _way(base, (), (), easy)} if easy else {}
    for provider in providers:
        name, key = provider.key.capitalize(), [provider.key]
        if provider.oauth and provider.oauth.parameters:
            named[f"NewConnectionByOAuth{name}"] = _way(base, provider.oauth.parameters, (), key)
        if provider.api_key:
            named[f"NewConnectionWithCredentials{name}"] = _way(
                base, provider.api_key.parameters, provider.api_key.fields, key
            )
    if not named:
        return {"NewConnection": base}
    return {
        "NewConnection": {
            "description": base["description"],
            "type": "object",
            "anyOf": [{"$ref": f"#/components/schemas/{name}"} for name in named],
        },
        **named,
    }


def _way(base: Schema, parameters: Sequence[Parameter], fields: Sequence[str], keys: Sequence[str]) -> Schema:
    properties = dict(base["properties"])
    required = [*base["required"]]
    properties["provider"] = {
        "type": "string",
        "enum": list(keys),
        "description": properties["provider"]["description"],
    }
    needed = [parameter.name for parameter in parameters if parameter.required]
    properties["parameters"] = _object(
        properties["parameters"], {parameter.name: _schema(parameter) for parameter in parameters}, needed
    )
    if needed:
        required.append("parameters")
    if fields:
        del properties["redirectUrl"]
        key: Schema = {"type": "string", "pattern": rf"^[!-~]{{1,4096}}{END}", "format": "password"}
        properties["credentials"] = _object(properties["credentials"], dict.fromkeys(fields, key), fields)
        required.append("credentials")
    else:
        del properties["credentials"]
    description = f"{'With credentials' if fields else 'By OAuth'}: {', '.join(keys)}."
    return {**base, "description": description, "properties": properties, "required": required}


def _object(base: Schema, properties: Schema, required: Sequence[str]) -> Schema:
    return {
        "description": base["description"],
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _schema(parameter: Parameter) -> Schema:
    """Give the canonical form; what `Parameter.normalise` puts right is taken too."""
    pattern = parameter.pattern.removeprefix("^").removesuffix("$")
    taken = [f"`{old}` for `{new}`" for old, new in parameter.replace.items()]
    taken += ["capital letters"] if parameter.lowercase else []
    also = f" Also taken: {', '.join(taken)}." if taken else ""
    return {
        "type": "string",
        "maxLength": 1024,
        "pattern": rf"^(?:{pattern}){END}",
        "description": f"{parameter.label}.{also}",
    }
