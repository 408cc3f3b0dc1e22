"""A third party whose accounts can be connected, as validated data."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING

from attrs import field, frozen

from domain.errors import InvalidInput, InvalidParameters

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta


_FIELD = re.compile(r"\{([A-Za-z][A-Za-z0-9_]*)\}")
_CREDENTIAL = re.compile(r"[!-~]{1,4096}")


class ParameterTarget(StrEnum):
    """Where a parameter goes in Nango's connect session."""

    CONNECTION_CONFIG = "connection_config"
    AUTHORIZATION_PARAMS = "authorization_params"


@frozen(kw_only=True)
class Parameter:
    """What the user must say before authorizing, such as NetSuite's accountId.

    `pattern` is matched against the whole value after `replace` and `lowercase` have been applied, so that
    `1234567_SB1` may be given where `1234567-sb1` is meant.
    """

    name: str
    pattern: str
    label: str
    required: bool = True
    lowercase: bool = False
    replace: Mapping[str, str] = field(factory=dict)
    target: ParameterTarget = ParameterTarget.CONNECTION_CONFIG

    def normalise(self, value: str) -> str:
        """Give the canonical form of a value.

        Raises:
            InvalidInput: the value does not match the pattern.

        """
        for old, new in self.replace.items():
            value = value.replace(old, new)
        value = value.lower() if self.lowercase else value
        if not re.fullmatch(self.pattern, value, re.ASCII):
            raise InvalidInput((self.name, f"must match {self.pattern} ({self.label})"))
        return value


def normalise_parameters(parameters: tuple[Parameter, ...], given: Mapping[str, str]) -> Mapping[str, str]:
    """Check what a caller gave against what a provider asks for.

    Raises:
        InvalidParameters: names each unknown, missing and ill-formed one.

    """
    known = [parameter.name for parameter in parameters]
    unknown = [name for name in given if name not in known]
    problems: list[tuple[str, str]] = []
    values: dict[str, str] = {}
    for parameter in parameters:
        if parameter.name not in given:
            if parameter.required:
                problems.append((parameter.name, f"is required: {parameter.label}"))
            continue
        try:
            values[parameter.name] = parameter.normalise(given[parameter.name])
        except InvalidInput as problem:
            problems.extend(problem.details)
    if unknown or problems:
        raise InvalidParameters(*problems, unknown=unknown, known=known)
    return values


@frozen(kw_only=True)
class OAuth:
    """How a provider is authorized: Nango's integration and what must be known before.

    `refresh_token_lifetime`: refused refreshes after this age mean expired, not error; None: no known end.
    """

    integration: str
    refresh_token_lifetime: timedelta | None = None
    parameters: tuple[Parameter, ...] = ()

    def outlived(self, authorized_at: datetime | None, now: datetime) -> bool:
        """Whether a refresh token granted at `authorized_at` has reached its known end."""
        if self.refresh_token_lifetime is None or authorized_at is None:
            return False
        return now >= authorized_at + self.refresh_token_lifetime

    def by_target(self, given: Mapping[str, str]) -> Mapping[ParameterTarget, Mapping[str, str]]:
        """Sort what was given by where it goes in Nango's connect session; no other names are passed on."""
        return {
            target: {
                parameter.name: given[parameter.name]
                for parameter in self.parameters
                if parameter.target is target and parameter.name in given
            }
            for target in ParameterTarget
        }


@frozen(kw_only=True)
class ApiKey:
    """How a provider takes a key instead of OAuth.

    `type` is Nango's credential type (API_KEY, BASIC, TBA); `credentials` are its fields as templates over
    what the caller gives: `{"apiKey": "{apiKey}"}`.
    """

    integration: str
    type: str
    credentials: Mapping[str, str]
    parameters: tuple[Parameter, ...] = ()

    @property
    def fields(self) -> tuple[str, ...]:
        """What the caller gives, in the order of the templates."""
        found = [name for template in self.credentials.values() for name in _FIELD.findall(template)]
        return tuple(dict.fromkeys(found))

    def secrets(self, given: Mapping[str, str]) -> Sequence[str]:
        """Say what of that a caller gave nobody may read: all of it, but a user name beside a password.

        The name is often the account's own id, and then the provider says it in each answer.
        """
        named = set(_FIELD.findall(self.credentials.get("username", "")))
        others = {
            name
            for key, template in self.credentials.items()
            if key != "username"
            for name in _FIELD.findall(template)
        }
        return [value for name, value in given.items() if name in others or not (others and name in named)]

    def fill(self, given: Mapping[str, str]) -> Mapping[str, str]:
        """Make Nango's credentials of what a caller gave.

        Raises:
            InvalidInput: names each missing, unknown and ill-formed field, never its value.

        """
        problems = [
            (f"credentials.{name}", f"is not a field of this provider; it takes {', '.join(self.fields)}")
            for name in given
            if name not in self.fields
        ]
        for name in self.fields:
            if name not in given:
                problems.append((f"credentials.{name}", "is required"))
            elif not _CREDENTIAL.fullmatch(given[name]):
                problems.append((f"credentials.{name}", "must be 1 to 4096 visible ASCII characters"))
        if problems:
            raise InvalidInput(*problems)
        return {
            key: _FIELD.sub(lambda match: given[match[1]], template)
            for key, template in self.credentials.items()
        }


@frozen(kw_only=True)
class Identity:
    """The cheap "who am I" call, made through Nango's proxy; see `docs/adding-a-provider.md`.

    The expressions are JMESPath over `{response, connection_config, token}`.
    """

    path: str
    method: str = "GET"
    headers: Mapping[str, str] = field(factory=dict)
    base_url: str | None = None
    healthy: str | None = None
    dead: str | None = None
    account_id: str | None = None
    account_name: str | None = None
    error_message: str | None = None


@frozen(kw_only=True)
class Provider:
    """A third party: what it is called, how it is authorized, how to ask who an account is."""

    key: str
    name: str
    description: str
    category: str
    docs_url: str | None = None
    oauth: OAuth | None = None
    api_key: ApiKey | None = None
    identity: Identity | None = None
