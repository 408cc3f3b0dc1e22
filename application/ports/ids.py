"""Randomness."""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol


class Ids(Protocol):
    """Randomness."""

    @abstractmethod
    def connection_id(self) -> str:
        """Give `conn_` and a UUIDv7."""

    @abstractmethod
    def random_id(self) -> str:
        """Give a random UUID."""

    @abstractmethod
    def state(self) -> str:
        """Give `cs_` and 256 random bits."""
