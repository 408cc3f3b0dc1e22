from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from adapters.memory.api_keys import MemoryApiKeys
from application.authenticate import Authenticate
from application.create_api_key import CreateApiKey
from application.ports import Scope
from domain.api_key import digest, make_key
from domain.errors import StoreUnavailable, Unauthenticated

if TYPE_CHECKING:
    from collections.abc import Callable

    from application.ports import ApiKeyRecord

KEY = make_key(b"k" * 32)
CHOSEN = "a-key-that-somebody-chose-for-a-container"


class CountedKeys(MemoryApiKeys):
    """Counts how often it is asked, and is away when told to be."""

    looks = 0
    away = False
    pause: Callable[[], None] = staticmethod(lambda: None)

    async def find(self, digest: bytes) -> ApiKeyRecord | None:
        self.looks += 1
        if self.away:
            raise StoreUnavailable
        self.pause()
        return await super().find(digest)


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds

    def wait(self, seconds: float) -> None:
        self.seconds += seconds


class Door:
    """A service that knows the company acme by its keys."""

    def __init__(self) -> None:
        self.keys = CountedKeys()
        self.clock = Clock()
        self.enter = Authenticate(self.keys, self.clock)

    async def make(self, key: str, scope: Scope = Scope.WRITE, company: str = "acme") -> ApiKeyRecord:
        return await CreateApiKey(self.keys)(company_id=company, scope=scope, label=None, key=key)


@pytest.fixture
def door() -> Door:
    return Door()


async def test_a_key_tells_company_and_scope(door: Door) -> None:
    await door.make(KEY, Scope.READ)
    caller = await door.enter(KEY)
    assert (caller.company_id, caller.scope) == ("acme", Scope.READ)


async def test_history_names_a_key_by_what_is_readable_of_it(door: Door) -> None:
    await door.make(KEY)
    actor = (await door.enter(KEY)).actor
    assert actor == f"api_key:{KEY[:11]}"


async def test_of_a_chosen_key_only_four_characters_are_readable(door: Door) -> None:
    await door.make(CHOSEN)
    assert (await door.enter(CHOSEN)).actor == f"api_key:{CHOSEN[:4]}"


async def test_of_a_key_only_its_hash_is_kept(door: Door) -> None:
    assert (await door.make(KEY)).digest == hashlib.sha256(KEY.encode()).digest()


async def test_a_digest_is_compared_in_constant_time(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    record = await door.make(KEY)
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr("application.authenticate.hmac.compare_digest", compare)
    await door.enter(KEY)
    assert (record.digest, digest(KEY)) in compared


async def test_a_company_may_have_several_live_keys(door: Door) -> None:
    await door.make(KEY)
    await door.make(CHOSEN)
    assert (await door.enter(KEY)).company_id == (await door.enter(CHOSEN)).company_id


async def test_a_key_is_looked_up_once_a_second_at_most(door: Door) -> None:
    await door.make(KEY)
    for _ in range(100):
        await door.enter(KEY)
        door.clock.seconds += 0.0099
    assert door.keys.looks == 1
    door.clock.seconds += 0.1
    await door.enter(KEY)
    assert door.keys.looks == 2


async def test_a_revoked_key_is_refused_within_a_second(door: Door) -> None:
    record = await door.make(KEY)
    await door.enter(KEY)
    await door.keys.revoke(record.id)
    door.clock.seconds += 1.0
    with pytest.raises(Unauthenticated):
        await door.enter(KEY)


async def test_the_second_counts_from_before_a_slow_look(door: Door) -> None:
    record = await door.make(KEY)
    door.keys.pause = lambda: door.clock.wait(0.9)
    await door.enter(KEY)
    await door.keys.revoke(record.id)
    door.clock.wait(0.1)
    with pytest.raises(Unauthenticated):
        await door.enter(KEY)


async def test_a_refused_key_is_not_remembered_as_good(door: Door) -> None:
    record = await door.make(KEY)
    await door.enter(KEY)
    await door.keys.revoke(record.prefix)
    door.clock.seconds += 1.0
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            await door.enter(KEY)


async def test_a_key_made_after_it_was_refused_is_known_at_once(door: Door) -> None:
    with pytest.raises(Unauthenticated):
        await door.enter(KEY)
    await door.make(KEY)
    assert await door.enter(KEY)


@pytest.mark.parametrize(
    "key",
    [
        None,
        "",
        "short",
        "ck_",
        KEY[:-1],
        KEY[:-1] + ("0" if KEY[-1] != "0" else "1"),
        KEY.replace("a", "b", 1),
        "x" * 257,
        "x" * 8192,
        "é" * 40,
        "\xff" * 40,
        "a" * 40 + "\n",
        "a" * 40 + " ",
        "\u0000" * 40,
        "\ud800" * 40,
    ],
    ids=ascii,
)
async def test_what_cannot_be_a_key_is_refused_without_a_look(door: Door, key: str | None) -> None:
    with pytest.raises(Unauthenticated):
        await door.enter(key)
    assert door.keys.looks == 0


async def test_an_unknown_key_of_good_form_is_refused(door: Door) -> None:
    await door.make(KEY)
    with pytest.raises(Unauthenticated):
        await door.enter(make_key(b"x" * 32))


async def test_the_same_key_again_changes_nothing(door: Door) -> None:
    first = await door.make(KEY, Scope.READ)
    assert await door.make(KEY, Scope.WRITE) == first


async def test_a_known_key_outlives_a_database_that_is_away_for_a_second(door: Door) -> None:
    await door.make(KEY)
    await door.enter(KEY)
    door.keys.away = True
    assert await door.enter(KEY)
    door.clock.seconds += 1.0
    with pytest.raises(StoreUnavailable):
        await door.enter(KEY)


async def test_many_keys_do_not_fill_the_memory(door: Door) -> None:
    for n in range(10_050):
        key = make_key(n.to_bytes(32, "big"))
        await door.keys.add(
            company_id="acme", scope=Scope.READ, prefix=str(n), digest=digest(key), label=None
        )
        await door.enter(key)
    assert len(door.enter._seen) <= 10_000
