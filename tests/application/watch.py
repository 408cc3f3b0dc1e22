"""The service with all that keeps connections true: Nango's webhooks, the schedule and the sweep."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs

from tests.application.service import SETTINGS, Service
from tests.application.world import ACTOR, COMPANY, World, nango_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from adapters.memory.gateway import MemoryGateway, StoredGrant
    from adapters.memory.store import MemoryStore
    from application.create_connection import ConnectionCreated
    from application.ports import Job, ProviderCatalogue
    from domain.connection import Connection

OLD_KEY, NEW_KEY = "8c7a-old-signing-key", "c0b8-new-signing-key"
KEY = "sk_canary_api_key_4711"


class WatchWorld(World):
    """A world whose worker looks after connections by itself; intervals of 0 switch it off."""

    def __init__(
        self,
        *,
        nango_callback: str = SETTINGS.callback_url,
        store: MemoryStore | None = None,
        gateway: MemoryGateway | None = None,
        verify: timedelta = timedelta(0),
        per_minute: int = 30,
        sweep: timedelta = timedelta(0),
        webhook_keys: Sequence[str] = (OLD_KEY, NEW_KEY),
        providers: ProviderCatalogue | None = None,
    ) -> None:
        super().__init__(nango_callback=nango_callback, store=store, gateway=gateway, providers=providers)
        self.settings = attrs.evolve(
            SETTINGS,
            nango_webhook_keys=tuple(webhook_keys),
            verify_interval=verify,
            verify_per_minute=per_minute,
            sweep_interval=sweep,
        )
        self.service = Service(
            store=self.store,
            gateway=self.gateway,
            api_keys=self.api_keys,
            monotonic=self._loop.time,
            settings=self.settings,
            providers=providers,
        )
        self.use_cases = self.service.use_cases

    def another_worker(self, gateway: MemoryGateway | None = None) -> WatchWorld:
        """A second process with the same settings, over the same store."""
        return WatchWorld(
            store=self.store,
            gateway=gateway or self.gateway,
            verify=self.settings.verify_interval,
            per_minute=self.settings.verify_per_minute,
            sweep=self.settings.sweep_interval,
            webhook_keys=self.settings.nango_webhook_keys,
            providers=self.providers,
        )

    async def work(self) -> int:
        """One round of everything the worker does."""
        due = await super().work()
        await self.service.schedule_checks()
        await self.service.sweep_grants()
        return due

    # ── webhooks ──────────────────────────────────────────────────────────────────────────────────

    async def send(self, body: bytes, *, key: str = NEW_KEY) -> None:
        await self.use_cases.receive_webhook(body=body, signature=sign(body, key))

    async def webhook(
        self, operation: str, grant: StoredGrant, *, success: bool = True, tags: bool = True
    ) -> bytes:
        """Nango tells of something that happened to a connection of its own; gives what it sent."""
        told: dict[str, Any] = {
            "type": "auth",
            "operation": operation,
            "success": success,
            "connectionId": grant.nango_id,
            "providerConfigKey": grant.integration,
            "provider": "any",
            "authMode": "OAUTH2",
            "environment": "dev",
        }
        if tags:
            told["tags"] = dict(grant.tags)
        body = json.dumps(told, sort_keys=True).encode()
        await self.send(body)
        return body

    # ── keys ──────────────────────────────────────────────────────────────────────────────────────

    async def by_key(
        self,
        provider: str = "stripe",
        credentials: Mapping[str, str] | None = None,
        *,
        key: str | None = None,
        name: str = "By key",
        **parameters: str,
    ) -> ConnectionCreated:
        """Create a connection with credentials; `key` is the Idempotency-Key."""
        return await self.use_cases.create_api_key_connection(
            company_id=COMPANY,
            provider=provider,
            name=name,
            metadata={},
            parameters=parameters,
            credentials={"apiKey": KEY} if credentials is None else credentials,
            idempotency_key=key,
            actor=ACTOR,
        )

    async def replace(
        self, connection_id: str, credentials: Mapping[str, str] | None = None, **parameters: str
    ) -> Connection:
        return await self.use_cases.replace_credentials(
            company_id=COMPANY,
            connection_id=connection_id,
            parameters=parameters or None,
            credentials={"apiKey": KEY} if credentials is None else credentials,
            actor=ACTOR,
        )

    # ── what can be seen ──────────────────────────────────────────────────────────────────────────

    def owed(self) -> list[Job]:
        """All work that is owed."""
        return sorted(self.store._state.jobs.values(), key=lambda job: job.due_at)

    def grant_of(self, connection: Connection) -> StoredGrant:
        return self.gateway.grant(nango_id(connection))


def sign(body: bytes, key: str) -> str:
    return hmac.new(key.encode(), body, hashlib.sha256).hexdigest()
