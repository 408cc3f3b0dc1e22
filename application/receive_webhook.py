"""A webhook of Nango: a reason to look at Nango, and nothing more, since it can be replayed."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from attrs import frozen

from application.owed import owe_a_look
from application.settle import AUTHORIZED
from domain.connection import ACTIVE

if TYPE_CHECKING:
    from application.ports import Ids, Notice, NoticeReader, Store
    from domain.connection import Connection

_AT_ONCE = timedelta(0)


@frozen
class ReceiveWebhook:
    """Makes the worker look, at once. Nango is not asked here: it waits for our answer."""

    _store: Store
    _reader: NoticeReader
    _ids: Ids

    async def __call__(self, *, body: bytes, signature: str | None) -> None:
        """Take a webhook; unknown operations and connections are accepted and ignored.

        Raises:
            WebhookRefused: the signature is not one of our keys'.

        """
        notice = self._reader.read(body, signature)
        if notice is None:
            return
        if notice.attempt_id is not None:
            await self._hurry(notice.attempt_id)
        for connection in await self._store.of_grants([(notice.integration, notice.nango_id)]):
            await self._look_at(connection, notice)

    async def _hurry(self, attempt_id: str) -> None:
        async with self._store.begin() as tx:
            await tx.attempts.hurry(attempt_id, check_at=tx.now)

    async def _look_at(self, connection: Connection, notice: Notice) -> None:
        # What we know already is no news. It matters, too: our own refused refresh sends another webhook.
        known = notice.well if connection.status is ACTIVE else notice.trouble
        if known:
            return
        if connection.status in AUTHORIZED:
            async with self._store.begin() as tx:
                await owe_a_look(tx, connection, self._ids, delay=_AT_ONCE)
