"""Try a provider's description against Nango, before anybody depends on it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from attrs import frozen

from application.findings import broken, doubtful, good, told
from application.try_flow import try_flow
from domain.errors import DomainError, GatewayRefused, InvalidParameters
from domain.provider import normalise_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from application.findings import Finding
    from application.ports import AuthGateway
    from domain.provider import OAuth, Provider


@frozen
class TryProvider:
    """Looks for its integrations, and starts a flow that nobody will finish."""

    _gateway: AuthGateway

    async def __call__(self, provider: Provider, parameters: Mapping[str, str]) -> Sequence[Finding]:
        """Give what was found; `parameters` are what a user would have to say before authorizing."""
        try:
            present = set(await self._gateway.integrations())
        except DomainError as problem:
            wrong = "SECRET_KEY" if isinstance(problem, GatewayRefused) else "URL"
            return [broken("nango", told(problem), f"Check CONNECTIONS_NANGO_{wrong}.")]
        findings = []
        for table, way in (("oauth", provider.oauth), ("api_key", provider.api_key)):
            if way is None:
                continue
            if way.integration in present:
                findings.append(good(table, f"Nango has the integration {way.integration!r}."))
            else:
                advice = f"Create it in Nango, or put another name into {table}.integration."
                findings.append(broken(table, f"Nango has no integration {way.integration!r}.", advice))
        if provider.oauth is not None and provider.oauth.integration in present:
            findings.append(await self._flow(provider.oauth, parameters))
        return findings

    async def _flow(self, oauth: OAuth, parameters: Mapping[str, str]) -> Finding:
        try:
            values = normalise_parameters(oauth.parameters, parameters)
        except InvalidParameters as problem:
            what = "; ".join(f"{name} {reason}" for name, reason in problem.bare())
            return doubtful("flow", f"No flow was tried: {what}.", "Give them as --parameter NAME=VALUE.")
        try:
            flow = await try_flow(self._gateway, oauth, values, None)
        except DomainError as problem:
            advice = "Look at the integration in Nango: its client id and secret, and what else it asks for."
            return broken("flow", f"Nango does not start a flow: {problem}", advice)
        parts = urlsplit(flow.authorization_url)
        scopes = " ".join(parse_qs(parts.query).get("scope", [])) or "no scopes that show"
        return good("flow", f"Users are sent to {parts.hostname} and asked for: {scopes}.")
