"""An attempt whose time to be looked at has come: confirm it, go on waiting, or give it up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from attrs import frozen

from domain.authorization import GIVE_UP
from domain.events import WORKER

if TYPE_CHECKING:
    from application.confirm_attempt import ConfirmAttempt
    from application.ports import Store
    from application.start_authorization import StartAuthorization
    from domain.authorization import Attempt


@frozen
class ResolveAttempt:
    """Looks at an attempt for the worker. Nango is asked before anything is given up."""

    _store: Store
    _authorizations: StartAuthorization
    _confirm: ConfirmAttempt

    async def __call__(self, attempt: Attempt) -> None:
        """Look at one open attempt.

        Raises:
            DomainError: Nango or the database does not answer now.

        """
        if attempt.mode is None:
            # The process died between its intent and Nango's answer: nobody has the URL.
            await self._authorizations.undo(attempt, by=WORKER, unless_begun=True)
            return
        if await self._confirm(attempt, by=WORKER):
            return
        async with self._store.begin() as tx:
            now = tx.now
            again = attrs.evolve(attempt, checks=attempt.checks + 1).next_check(now)
            if not await tx.attempts.checked(attempt, check_at=again):
                # While Nango was asked, a callback or a webhook came, or somebody else looked.
                return
        if attempt.claimed_at is not None and now >= attempt.claimed_at + GIVE_UP:
            await self._confirm.fail(attempt, "authorization_timeout", by=WORKER)
        elif attempt.claimed_at is None and now >= attempt.expires_at:
            await self._confirm.abandon(attempt, by=WORKER)
