"""The contract of API keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from application.ports import Scope

if TYPE_CHECKING:
    from application.ports import ApiKeyRecord, ApiKeys

ACME_DIGEST = b"a" * 32
RIVAL_DIGEST = b"r" * 32


async def _added(
    api_keys: ApiKeys, digest: bytes = ACME_DIGEST, company_id: str = "acme", prefix: str = "ck_1234"
) -> ApiKeyRecord:
    return await api_keys.add(
        company_id=company_id, scope=Scope.WRITE, prefix=prefix, digest=digest, label="for tests"
    )


class ApiKeysContract:
    """What every keeper of API keys does; subclasses give the fixture."""

    @pytest.fixture
    def api_keys(self) -> ApiKeys:
        """An empty keeper."""
        raise NotImplementedError

    async def test_a_key_is_found_by_its_digest(self, api_keys: ApiKeys) -> None:
        record = await _added(api_keys)

        assert await api_keys.find(ACME_DIGEST) == record
        assert (record.company_id, record.scope, record.label) == ("acme", Scope.WRITE, "for tests")

    async def test_an_unknown_digest_is_not_found(self, api_keys: ApiKeys) -> None:
        assert await api_keys.find(ACME_DIGEST) is None

    async def test_a_revoked_key_is_not_found(self, api_keys: ApiKeys) -> None:
        await _added(api_keys)
        await api_keys.revoke("ck_1234")

        assert await api_keys.find(ACME_DIGEST) is None

    async def test_the_same_digest_again_gives_the_record_that_is_there(self, api_keys: ApiKeys) -> None:
        record = await _added(api_keys)

        assert await _added(api_keys, company_id="rival") == record

    @pytest.mark.parametrize("by", ["id", "prefix"])
    async def test_a_key_is_revoked_once(self, api_keys: ApiKeys, by: str) -> None:
        record = await _added(api_keys)
        word = record.id if by == "id" else record.prefix

        (revoked,) = await api_keys.revoke(word)

        assert revoked.id == record.id
        assert revoked.revoked_at is not None
        assert not await api_keys.revoke(word)

    async def test_part_of_a_prefix_revokes_nothing(self, api_keys: ApiKeys) -> None:
        await _added(api_keys)

        assert not await api_keys.revoke("ck_")

    async def test_a_list_has_a_companys_keys_revoked_ones_too(self, api_keys: ApiKeys) -> None:
        await _added(api_keys)
        await _added(api_keys, RIVAL_DIGEST, "rival", "ck_5678")
        await api_keys.revoke("ck_1234")

        assert [record.prefix for record in await api_keys.list("acme")] == ["ck_1234"]

    async def test_a_list_of_all_is_told_oldest_first(self, api_keys: ApiKeys) -> None:
        await _added(api_keys)
        await _added(api_keys, RIVAL_DIGEST, "rival", "ck_5678")

        assert {record.prefix for record in await api_keys.list(None)} == {"ck_1234", "ck_5678"}
