"""Times as the reference writes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.http.present import when, whens


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (datetime(2024, 1, 15, 10, 30, tzinfo=UTC), "2024-01-15T10:30:00.000Z"),
        (datetime(2024, 1, 15, 10, 30, 0, 999, tzinfo=UTC), "2024-01-15T10:30:00.000Z"),
        (datetime(2024, 1, 15, 10, 30, 0, 120_000, tzinfo=UTC), "2024-01-15T10:30:00.120Z"),
        (datetime(2024, 1, 15, 10, 30, 59, 999_999, tzinfo=UTC), "2024-01-15T10:30:59.999Z"),
        (datetime(2024, 1, 15, 1, tzinfo=timezone(timedelta(hours=2))), "2024-01-14T23:00:00.000Z"),
    ],
)
def test_a_time_is_utc_with_milliseconds(at: datetime, text: str) -> None:
    assert when(at) == text


@given(st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - bounds are naive
def test_a_time_reads_back_to_its_millisecond(at: datetime) -> None:
    assert datetime.fromisoformat(when(at)) == at.replace(microsecond=at.microsecond // 1000 * 1000)


ZONES = st.sampled_from([UTC, timezone(timedelta(0)), timezone(timedelta(hours=-5, minutes=-30))])


@given(st.lists(st.datetimes(min_value=datetime(1970, 1, 2), timezones=ZONES)))  # noqa: DTZ001 - the same
def test_many_times_are_written_as_each_of_them(times: list[datetime]) -> None:
    assert whens(times) == [when(at) for at in times]
