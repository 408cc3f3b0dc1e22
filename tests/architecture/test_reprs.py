"""What holds a secret keeps it out of its `repr`, which is what logs and tracebacks print."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from adapters.memory.api_keys import MemoryApiKeys
from adapters.nango.answers import CredentialsData, SessionData
from adapters.nango.client import Answer
from application.authenticate import Authenticate, Caller
from application.authorization_results import AuthorizationStarted
from application.create_connection import ConnectionCreated
from application.idempotency import Reservation
from application.ports import Flow, GrantDetails, IdempotencyRecord, Scope, Session
from domain.connection import PENDING
from entrypoints.settings import Settings

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
CANARY = "canary-in-a-coal-mine"


def seen() -> Authenticate:
    door = Authenticate(MemoryApiKeys())
    door._seen[CANARY.encode()] = (0.0, Caller(company_id="acme", scope=Scope.READ, actor="api_key:x"))
    return door


HOLDERS: dict[str, object] = {
    "a session's token": Session(token=CANARY, connect_link="", expires_at=NOON),
    "a session's link": Session(token="", connect_link=CANARY, expires_at=NOON),
    "a flow's address": Flow(authorization_url=CANARY, redirect_uri=None, state="", cookie=""),
    "a flow's state": Flow(authorization_url="", redirect_uri=None, state=CANARY, cookie=""),
    "a flow's cookie": Flow(authorization_url="", redirect_uri=None, state="", cookie=CANARY),
    "a grant's token": GrantDetails(connection_config={}, token={"access_token": CANARY}),
    "an authorization's address": AuthorizationStarted(
        connection_id="", provider="", url=CANARY, is_new=True
    ),
    "a new connection's address": ConnectionCreated(
        connection_id="", name="", provider="", status=PENDING, oauth_url=CANARY
    ),
    "an Idempotency-Key": Reservation(
        company_id="",
        key=CANARY,
        record=IdempotencyRecord(key_hash=b"", fingerprint=b"", connection_id="", salt=b""),
    ),
    "the keys that were seen": seen(),
    "the headers of an answer": Answer(
        status=200, headers=CIMultiDictProxy(CIMultiDict({"Set-Cookie": CANARY})), body=b""
    ),
    "the body of an answer": Answer(
        status=200, headers=CIMultiDictProxy(CIMultiDict()), body=CANARY.encode()
    ),
    "Nango's session": SessionData(token=CANARY, connect_link=CANARY, expires_at=NOON),
    "Nango's credentials": CredentialsData(raw={"access_token": CANARY}),
    "the database's URL": Settings(database_url=CANARY),
    "Nango's secret key": Settings(nango_secret_key=CANARY),
    "the webhooks' keys": Settings(nango_webhook_keys=(CANARY,)),
    "the first API key": Settings(bootstrap_api_key=CANARY),
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_a_secret_is_in_no_repr(holder: str) -> None:
    assert CANARY not in repr(HOLDERS[holder])
