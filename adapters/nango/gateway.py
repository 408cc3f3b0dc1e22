"""NangoGateway: the port AuthGateway over Nango's HTTP API. Nango's JSON is known in this package only.

Source: Nango 0.71.4, observed.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from adapters.nango import connections, proxy
from adapters.nango.answers import DeleteAnswer, ImportAnswer, IntegrationList
from adapters.nango.callback import read_callback
from adapters.nango.client import Deadlines, NangoClient
from adapters.nango.failures import success
from adapters.nango.flow import read_flow
from adapters.nango.permissions import missing_scopes
from adapters.nango.retries import RetryBudget, repeated
from adapters.nango.sessions import read_session, session_request
from application.ports import AuthGateway
from domain.errors import (
    DomainError,
    GatewayNonsense,
    GatewayTimeout,
    GrantNotFound,
    ProviderUnavailable,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
    from typing import Any

    import aiohttp

    from adapters.nango.client import Answer
    from application.ports import Flow, GrantDetails, ProviderAnswer, Session
    from domain.authorization import Grant
    from domain.provider import Identity

    Observe = Callable[[str, str, float], None]

_log = structlog.get_logger(__name__)


class NangoGateway(AuthGateway):
    """Speaks to one Nango environment.

    Only reads and deletions are tried again. Sessions, flows, relays, imports and refreshes are sent once:
    what happened to one that failed is looked up, not guessed.

    Args:
        session: from `adapters.nango.client.open_client_session`; the entrypoint owns it.
        base_url: Nango's address.
        secret_key: the environment's secret key; never shown.
        deadlines: how long Nango may take.
        budget: the process's second tries.
        observe: told of every call: its name, "ok" or the error's code, and the seconds it took.

    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        base_url: str,
        secret_key: str,
        deadlines: Deadlines | None = None,
        budget: RetryBudget | None = None,
        observe: Observe | None = None,
    ) -> None:
        self._deadlines = deadlines or Deadlines()
        self._budget = budget or RetryBudget()
        self._observe = observe
        self._client = NangoClient(
            session,
            base_url=base_url,
            secret_key=secret_key,
            connect_deadline=self._deadlines.connect,
        )

    async def open_session(
        self,
        *,
        integration: str,
        tags: Mapping[str, str],
        connection_config: Mapping[str, str],
        authorization_params: Mapping[str, str],
        reconnect: str | None,
    ) -> Session:
        """Open a connect session; see the port."""
        path, body = session_request(
            integration,
            tags=tags,
            connection_config=connection_config,
            authorization_params=authorization_params,
            reconnect=reconnect,
        )
        with self._observed("open_session"):
            answer = await self._client.send("POST", path, body=body, deadline=self._deadlines.call)
            return read_session(answer, integration)

    async def start_flow(self, integration: str, session: Session) -> Flow:
        """Start the OAuth flow; see the port. The session's token stands in for our key.

        Raises:
            IntegrationMissing: the integration does not exist or lacks its client id.

        """
        with self._observed("start_flow"):
            answer = await self._client.send(
                "GET",
                f"/oauth/connect/{connections.segment(integration)}",
                query=[("connect_session_token", session.token)],
                authorized=False,
                deadline=self._deadlines.call,
            )
            return read_flow(answer, integration)

    async def relay_callback(self, query: Sequence[tuple[str, str]], cookie: str) -> None:
        """Hand the provider's callback to Nango; see the port, and `read_callback` for what is believed."""
        with self._observed("relay_callback"):
            answer = await self._client.send(
                "GET",
                "/oauth/callback",
                query=query,
                headers={"Cookie": cookie} if cookie else None,
                authorized=False,
                deadline=self._deadlines.exchange,
            )
            read_callback(answer)

    async def find_grants(self, tags: Mapping[str, str]) -> Sequence[Grant]:
        """Find what Nango has under all of these tags; see the port.

        What comes back is checked against the tags again: a filter that Nango did not understand must not
        hand somebody else's connections to whoever cleans up.
        """
        found = [
            grant
            async for page in self._pages("find_grants", connections.with_tags(tags))
            for grant in page
            if connections.has_tags(grant, tags)
        ]
        if not all(connections.is_name(grant.nango_id) for grant in found):
            raise GatewayNonsense("Nango names a connection in a way that nobody can keep.")
        return found

    async def any_grant(self, tags: Mapping[str, str]) -> bool:
        """Whether Nango has anything under all of these tags; see the port."""
        query = [*connections.with_tags(tags), ("limit", "1")]
        with self._observed("any_grant"):
            answer = await self._read("GET", "/connections", query, max_body=connections.MAX_PAGE)
            return any(connections.has_tags(grant, tags) for grant in connections.read_page(answer))

    async def has_grant(self, integration: str, nango_id: str) -> bool:
        """Whether Nango still has the connection; see the port.

        Raises:
            IntegrationMissing: Nango has no such integration (any more).

        """
        listed = [
            (grant.integration, grant.nango_id)
            async for page in self._pages("has_grant", [("connectionId", nango_id)])
            for grant in page
        ]
        if (integration, nango_id) in listed:
            return True
        path, query = connections.address(integration, nango_id)
        with self._observed("has_grant"):
            answer = await self._read("GET", path, query)
            return connections.read_presence(answer, integration, nango_id)

    async def fetch(self, integration: str, nango_id: str, *, refresh: bool = False) -> GrantDetails:
        """Fetch a connection; see the port. Sent once: even the plain GET refreshes near expiry.

        Raises:
            IntegrationMissing: Nango has no such integration (any more).

        """
        path, query = connections.address(integration, nango_id)
        if refresh:
            query.append(("force_refresh", "true"))
        deadline = self._deadlines.exchange if refresh else self._deadlines.call
        with self._observed("refresh" if refresh else "fetch"):
            answer = await self._client.send("GET", path, query=query, deadline=deadline)
            return connections.read_details(answer, integration, nango_id)

    async def call_provider(
        self, integration: str, nango_id: str, identity: Identity, *, base_url: str | None
    ) -> ProviderAnswer:
        """Make the identity call through the proxy; see the port.

        Raises:
            IntegrationMissing: Nango has no such integration (any more).

        """
        with self._observed("call_provider"):
            try:
                answer = await self._client.send(
                    identity.method,
                    proxy.proxy_path(identity.path),
                    headers=proxy.proxy_headers(integration, nango_id, identity, base_url=base_url),
                    repeatable=True,
                    deadline=self._deadlines.provider,
                    max_body=proxy.MAX_BODY,
                )
            except GatewayTimeout:
                # Nango is quick; what takes long behind its proxy is the provider.
                raise ProviderUnavailable("The provider did not answer in time. Try again.") from None
            return proxy.read_proxied(answer, integration)

    async def import_credentials(
        self,
        *,
        integration: str,
        nango_id: str,
        kind: str,
        credentials: Mapping[str, str],
        connection_config: Mapping[str, str],
        tags: Mapping[str, str],
    ) -> None:
        """Store credentials under an id of ours; see the port."""
        body = {
            "provider_config_key": integration,
            "connection_id": nango_id,
            "credentials": {"type": kind, **credentials},
            "connection_config": dict(connection_config),
            "tags": dict(tags),
        }
        with self._observed("import_credentials"):
            answer = await self._client.send(
                "POST",
                "/connections",
                body=body,
                secrets=list(credentials.values()),
                deadline=self._deadlines.call,
            )
            success(answer, ImportAnswer, integration, status=201)

    async def delete(self, integration: str, nango_id: str) -> None:
        """Delete a connection at Nango; see the port."""
        path, query = connections.address(integration, nango_id)
        with self._observed("delete"):
            answer = await self._read("DELETE", path, query)
            try:
                success(answer, DeleteAnswer, integration)
            except GrantNotFound:
                return

    async def grants(self) -> AsyncIterator[Sequence[Grant]]:
        """Walk through everything Nango has, 1,000 connections at a time."""
        async for page in self._pages("grants", []):
            yield page

    async def integrations(self) -> Sequence[str]:
        """Name the integrations of this Nango environment."""
        with self._observed("integrations"):
            answer = await self._read("GET", "/integrations")
            return [each.unique_key for each in success(answer, IntegrationList).data]

    async def missing_permissions(self) -> Sequence[str]:
        """Name the scopes that our key lacks; see the port."""
        return await missing_scopes(self)

    async def _pages(
        self, operation: str, filters: Sequence[tuple[str, str]]
    ) -> AsyncIterator[Sequence[Grant]]:
        previous: Sequence[Grant] = ()
        for number in range(connections.MOST_PAGES):
            query = [*filters, ("limit", str(connections.PAGE_SIZE)), ("page", str(number))]
            with self._observed(operation):
                answer = await self._read("GET", "/connections", query, max_body=connections.MAX_PAGE)
                page = connections.read_page(answer)
                if page and page == previous:
                    raise GatewayNonsense("Nango gives the same page of its list again and again.")
            if page:
                yield page
            if len(page) < connections.PAGE_SIZE:
                return
            previous = page
        raise GatewayNonsense("Nango's list does not end.")

    async def _read(
        self, method: str, path: str, query: Sequence[tuple[str, str]] = (), **how: Any
    ) -> Answer:
        """Send what may be sent again."""
        return await repeated(
            lambda left: self._client.send(method, path, query=query, repeatable=True, deadline=left, **how),
            deadline=self._deadlines.call,
            budget=self._budget,
        )

    @contextmanager
    def _observed(self, operation: str) -> Iterator[None]:
        began = time.monotonic()
        outcome = "ok"
        try:
            yield
        except BaseException as error:
            outcome = error.code if isinstance(error, DomainError) else "interrupted"
            raise
        finally:
            seconds = time.monotonic() - began
            _log.debug("nango", operation=operation, outcome=outcome, seconds=round(seconds, 4))
            if self._observe is not None:
                self._observe(operation, outcome, seconds)
