"""Examine how Nango and we fit together: its key, its integrations, its callback URL, its connections."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from attrs import frozen

from application.findings import broken, doubtful, good, told
from application.try_flow import try_flow
from domain.errors import DomainError, GatewayNonsense, GatewayRefused, IntegrationMissing, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence

    from application.findings import Finding
    from application.ports import AuthGateway, Flow, ProviderCatalogue, Store
    from domain.connection import Connection

    Key = tuple[str, str]

DEADLINE = 15.0
"""Seconds that a check may take."""

_PAGE = 1000
_MEND_DATABASE = "Mend what the checks `database` and `migrations` say first."
_MEND_NANGO = "Mend what the check `nango` says first."


@frozen
class Diagnose:
    """Looks, and changes nothing: what it leaves at Nango is a session that nobody uses.

    `nango_callbacks`: where browsers end whose flow Nango completes without us.
    """

    _store: Store
    _gateway: AuthGateway
    _catalogue: ProviderCatalogue
    _callback_url: str
    _nango_callbacks: Iterable[str]

    async def __call__(self) -> Sequence[Finding]:
        """Give one finding or more for each check, always in the same order.

        Each check stands for itself: what one of them needs may be down, and the others still answer.
        """
        checks: dict[str, Callable[[], Awaitable[Sequence[Finding]]]] = {
            "nango": self._nango,
            "integrations": self._integrations,
            "providers": self._providers,
            "callback": self._callback,
            "grants": self._grants,
        }
        found = await asyncio.gather(*(_bounded(name, check) for name, check in checks.items()))
        return [finding for findings in found for finding in findings]

    async def _nango(self) -> Sequence[Finding]:
        try:
            await self._gateway.integrations()
        except GatewayRefused as refused:
            advice = (
                "Set CONNECTIONS_NANGO_SECRET_KEY to the secret key of the environment that this deployment "
                "uses (in Nango: Environment Settings); it needs to read and write connections."
            )
            return [broken("nango", str(refused), advice)]
        except GatewayNonsense as nonsense:
            advice = "Check that CONNECTIONS_NANGO_URL is the address of Nango's API, and not of a page."
            return [broken("nango", str(nonsense), advice)]
        except DomainError as problem:
            advice = (
                "Check CONNECTIONS_NANGO_URL, the way there (DNS, firewall, TLS), and Nango's own health "
                "and database. Connections can be read meanwhile, and not be authorized."
            )
            return [broken("nango", told(problem), advice)]
        if missing := await self._gateway.missing_permissions():
            message = f"Nango accepts our key, which lacks {', '.join(missing)}."
            return [
                broken("nango", message, "Give the key these scopes (environment:…), or use one with all.")
            ]
        return [good("nango", "Nango answers and accepts our key.")]

    async def _integrations(self) -> Sequence[Finding]:
        present = set(await self._gateway.integrations())
        wanted: dict[str, set[str]] = {}
        for provider in self._catalogue.all():
            for way in (provider.oauth, provider.api_key):
                if way is not None:
                    wanted.setdefault(way.integration, set()).add(provider.name)
        used = {integration for integration, _ in await self._known()} if await self._store_works() else set()
        missing = sorted((wanted.keys() | used) - present)
        if not missing:
            return [good("integrations", f"Nango has all {len(wanted)} integrations of the catalogue.")]
        return [
            _missing(each, " and ".join(sorted(wanted.get(each, ()))) or "older connections", each in used)
            for each in missing
        ]

    async def _providers(self) -> Sequence[Finding]:
        """Connections outlive the file of their provider, and processes may be given different files."""
        if not await self._store_works():
            return []
        described = {provider.key for provider in self._catalogue.all()}
        orphans: Counter[str] = Counter()
        async for connection in self._authorized():
            if connection.provider not in described:
                orphans[connection.provider] += 1
        advice = (
            "Bring its file or package back, and give the same CONNECTIONS_PROVIDERS_DIR to every process: "
            "without it these connections are neither verified nor refreshed. Or disconnect them."
        )
        return [
            broken(
                "providers", f"No file here describes {provider!r}, the provider of {number} of ours.", advice
            )
            for provider, number in sorted(orphans.items())
        ] or [good("providers", f"All our connections are of the {len(described)} providers we know.")]

    async def _callback(self) -> Sequence[Finding]:
        flow = await self._some_flow()
        if flow is None:
            advice = "Set up an integration in Nango for one of the providers, and look again."
            return [
                doubtful("callback", "There is no OAuth integration that a flow can be tried with.", advice)
            ]
        address = flow.redirect_uri
        if address == self._callback_url:
            return [good("callback", f"Providers send browsers back to {address}.")]
        advice = f"Set the callback URL of the Nango environment to {self._callback_url}"
        if address is None or address in self._nango_callbacks:
            message = (
                f"Providers send browsers to {address or 'an address that does not show'}: users end on "
                "Nango's page instead of yours, and we learn of it later."
            )
            return [doubtful("callback", message, f"{advice}.")]
        message = (
            f"Providers send browsers to {address}, which is neither ours nor Nango's: no flow completes."
        )
        return [
            broken("callback", message, f"{advice}, or CONNECTIONS_PUBLIC_URL to where browsers reach us.")
        ]

    async def _some_flow(self) -> Flow | None:
        """Start a flow of the first provider that Nango can start one of, and that asks its user nothing.

        Raises:
            GatewayNonsense: no flow starts; says what was odd about the first integration.

        """
        odd: GatewayNonsense | None = None
        present = set(await self._gateway.integrations())
        deployment = await self._store.deployment() if await self._store_works() else None
        for oauth in (provider.oauth for provider in self._catalogue.all()):
            if oauth and oauth.integration in present and not any(each.required for each in oauth.parameters):
                try:
                    return await try_flow(self._gateway, oauth, {}, deployment)
                except IntegrationMissing:
                    continue  # it is there, without its client id and secret
                except GatewayNonsense as problem:
                    odd = odd or problem
        if odd is not None:
            raise odd
        return None

    async def _grants(self) -> Sequence[Finding]:
        await self._store.ping()
        # Ours first: a connection that is made meanwhile must not look like one that Nango lost.
        known = await self._known()
        deployment = await self._store.deployment()
        seen: set[Key] = set()
        stray = 0
        async for page in self._gateway.grants():
            for grant in page:
                key = (grant.integration, grant.nango_id)
                seen.add(key)
                stray += grant.tags.get("deployment") == deployment and key not in known
        lost = len(known - seen)
        findings = []
        if lost:
            message = f"{lost} of our {len(known)} connections are not at Nango."
            findings.append(doubtful("grants", message, _advice_for_lost(nothing_left=lost == len(known))))
        if stray:
            message = (
                f"{stray} connections at Nango carry our deployment's tag, and no connection here has them."
            )
            advice = (
                "Nothing to do where users are authorizing now, or deletions are still under way. After a "
                "restored backup these are good connections that it does not know: nothing removes them by "
                "itself (docs/operations.md, Backup and restore)."
            )
            findings.append(doubtful("grants", message, advice))
        return findings or [good("grants", f"Nango has all {len(known)} of our connections, and no more.")]

    async def _store_works(self) -> bool:
        """Whether the database can be asked; why not, is for another check to say."""
        try:
            await self._store.ping()
        except Exception:  # noqa: BLE001 - an address that cannot be read, a database that is not there …
            return False
        return True

    async def _known(self) -> set[Key]:
        return {
            (each.integration, each.nango_id)
            async for each in self._authorized()
            if each.nango_id is not None
        }

    async def _authorized(self) -> AsyncIterator[Connection]:
        after: str | None = None
        while page := await self._store.authorized(after=after, limit=_PAGE):
            for connection in page:
                yield connection
            after = page[-1].id


def _missing(integration: str, of: str, used: bool) -> Finding:
    message = f"Nango has no integration {integration!r} for {of}"
    advice = f"Create it in Nango under exactly this name, or name another in the file of {of}."
    if used:
        return broken("integrations", f"{message}, and connections of ours use it.", advice)
    return doubtful("integrations", f"{message}; no connection uses it yet.", advice)


def _advice_for_lost(*, nothing_left: bool) -> str:
    if nothing_left:
        return "Is the key one of another Nango environment? Nothing is changed while that may be so."
    return "They were deleted at Nango behind our back; the worker finds out, and disconnects them."


async def _bounded(name: str, check: Callable[[], Awaitable[Sequence[Finding]]]) -> Sequence[Finding]:
    try:
        async with asyncio.timeout(DEADLINE):
            return await check()
    except TimeoutError:
        return [doubtful(name, f"The check took more than {DEADLINE:.0f} s.", "Look again later.")]
    except StoreUnavailable:
        message = "It could not be checked: the database does not answer, or is not migrated."
        return [doubtful(name, message, _MEND_DATABASE)]
    except DomainError as problem:
        return [doubtful(name, f"It could not be checked: {problem}", _MEND_NANGO)]
    except Exception as error:  # noqa: BLE001 - whatever it is, the other checks have something to say
        message = f"It could not be checked: {type(error).__name__}."
        return [doubtful(name, message, "Mend what the other checks say first.")]
