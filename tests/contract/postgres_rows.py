"""What tests do to rows behind the adapter's back."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta

    from adapters.postgres.pool import Pool

_TIMES = """
SELECT table_name, string_agg(format('%1$I = %1$I - $1::interval', column_name), ', ') AS moves
FROM information_schema.columns
WHERE table_schema = 'public' AND data_type = 'timestamp with time zone'
GROUP BY table_name
"""


async def make_older(pool: Pool, by: timedelta) -> None:
    """Move every time in the database back, as if it had been written that much earlier.

    The guards of the schema would refuse it: they are off for these statements.
    """
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        for row in await connection.fetch(_TIMES):
            sql = f"UPDATE {row['table_name']} SET {row['moves']}"  # noqa: S608 - names from the catalogue
            await connection.execute(sql, by)
