"""`connections providers check`: a provider's file, read as at a start, and tried against Nango."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapters.catalogue.loader import load_file
from adapters.nango.client import open_client_session
from application.findings import doubtful, good
from entrypoints.container import compose

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from application.findings import Finding
    from domain.provider import Parameter, Provider
    from entrypoints.settings import Settings


async def check_provider(settings: Settings, file: Path, parameters: Mapping[str, str]) -> Sequence[Finding]:
    """Check one file; nothing is stored, here or at Nango.

    Raises:
        CatalogueError: the file is wrong; says where and why.

    """
    provider = load_file(file).provider
    findings = [good("file", f"{file} describes {provider.name}."), *_questions(provider)]
    if settings.nango_secret_key is None:
        advice = "Set CONNECTIONS_NANGO_SECRET_KEY, and CONNECTIONS_NANGO_URL for a Nango of your own."
        return [*findings, doubtful("nango", "It was not tried against Nango, for want of a key.", advice)]
    async with open_client_session() as session:
        container = compose(settings, pool=None, session=session)
        return [*findings, *await container.try_provider()(provider, parameters)]


def _questions(provider: Provider) -> Sequence[Finding]:
    """Say what a caller has to give before an account can be connected."""
    findings = []
    if provider.oauth is not None:
        asked = ", ".join(_names(provider.oauth.parameters)) or "nothing"
        findings.append(good("oauth", f"An authorization asks its caller for {asked}."))
    if provider.api_key is not None:
        asked = ", ".join(
            [
                *(f"credentials.{field}" for field in provider.api_key.fields),
                *_names(provider.api_key.parameters),
            ]
        )
        findings.append(good("api_key", f"A connection by key asks its caller for {asked}."))
    return findings


def _names(parameters: Sequence[Parameter]) -> Sequence[str]:
    return [each.name if each.required else f"{each.name} (optional)" for each in parameters]
