"""Every rule of a contract suite is tried: the parts it is put together from do not hide each other's."""

from __future__ import annotations

from collections import Counter

from tests.contract.store_contract import StoreContract


def test_no_rule_of_the_store_hides_another_of_the_same_name() -> None:
    rules = Counter(name for part in StoreContract.__mro__ for name in vars(part) if name.startswith("test_"))

    assert [name for name, times in rules.items() if times > 1] == []
