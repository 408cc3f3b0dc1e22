"""What a scoped key of Nango's lacks, read off its refusals."""

from __future__ import annotations

import pytest

from adapters.nango.client import open_client_session
from adapters.nango.gateway import NangoGateway
from tests.contract.nango_stand_in import Call, stand_in

REFUSED = b'{"error": {"code": "forbidden", "message": "Insufficient scope. Required: environment:x"}}'
NOT_THERE = b'{"error": {"code": "not_found", "message": "Integration does not exist"}}'
SCOPES = {
    "connections:list": "GET /connections?",
    "connections:read_credentials": "GET /connections/",
    "connections:create": "POST /connections",
    "connections:delete": "DELETE /connections/",
    "connect_sessions:write": "POST /connect/sessions",
    "proxy": "GET /proxy/",
}


async def lacking(*refused: str) -> tuple[list[str], list[str]]:
    """Look at a Nango that refuses calls which begin so; give what is missing, and what was called."""

    async def behave(call: Call) -> None:
        no = any(call.head.startswith(beginning) for beginning in refused)
        await call.answer(403 if no else 404, REFUSED if no else NOT_THERE)

    async with stand_in(behave) as nango, open_client_session() as session:
        gateway = NangoGateway(session, base_url=nango.url, secret_key="key")
        return list(await gateway.missing_permissions()), [call.head for call in nango.calls]


@pytest.mark.parametrize(("scope", "refused"), SCOPES.items())
async def test_a_scope_is_missing_where_nango_refuses_what_it_is_for(scope: str, refused: str) -> None:
    missing, _ = await lacking(refused)
    assert missing == [scope]


async def test_all_that_is_missing_is_named() -> None:
    missing, _ = await lacking(*SCOPES.values())
    assert missing == list(SCOPES)


async def test_a_nango_that_finds_nothing_there_allows_it() -> None:
    missing, _ = await lacking()
    assert missing == []


async def test_only_what_nobody_has_is_asked_for() -> None:
    _, heads = await lacking()
    assert len(heads) == len(SCOPES)
    assert all("0000-4000-8000" in head or head.startswith("POST") for head in heads)
