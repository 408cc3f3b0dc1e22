"""What must hold before a user is sent to authorize, and with which parameters that happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.connection import ACTIVE, AuthKind
from domain.errors import ActiveConnectionExists, InvalidInput
from domain.provider import normalise_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domain.connection import Connection
    from domain.provider import OAuth, Parameter, Provider


def oauth_of(provider: Provider) -> OAuth:
    """Give how a provider is authorized.

    Raises:
        InvalidInput: the provider takes API keys only.

    """
    if provider.oauth is None:
        raise InvalidInput(
            ("provider", f"{provider.key} has no OAuth; create the connection with credentials")
        )
    return provider.oauth


def require_authorizable(connection: Connection) -> None:
    """Insist that a user may be sent to authorize this connection now.

    Raises:
        InvalidInput: it was made with an API key, and takes another one instead.
        ActiveConnectionExists: it is active; disconnect it first.

    """
    if connection.auth_kind is AuthKind.API_KEY:
        raise InvalidInput(("credentials", "must be given, to reauthorize: this connection uses an API key"))
    if connection.status is ACTIVE:
        raise ActiveConnectionExists(connection.provider)


def parameters_for(oauth: OAuth, given: Mapping[str, str], stored: Mapping[str, str]) -> Mapping[str, str]:
    """Check what the caller gave, completed by what an earlier authorization was given.

    Raises:
        InvalidParameters: names each unknown, missing and ill-formed one.

    """
    return normalise_parameters(oauth.parameters, {**kept_parameters(oauth.parameters, stored), **given})


def kept_parameters(parameters: Sequence[Parameter], stored: Mapping[str, str]) -> Mapping[str, str]:
    """Give what an earlier authorization was given, as far as the provider still asks for it."""
    known = {parameter.name for parameter in parameters}
    return {name: value for name, value in stored.items() if name in known}
