"""Row locks of PostgreSQL: a transaction that changes rows of a class locks the class first, then anything else.

With this order, no two transactions wait for each other. SQLite has one writer at a time and needs no row locks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, select

from mien.web.classroom import schema


def lock_classes(connection: Connection, class_ids: Iterable[str], *, shared: bool = False) -> dict[str, dict[str, Any]]:
    """Lock classes in a fixed order until the end of the transaction; return their rows by id.

    Args:
        connection: a connection in a write transaction.
        class_ids: the classes; unknown ones are left out.
        shared: let other transactions take a shared lock too. Joining, leaving and sending messages do; closing a bin, ending a
            lesson and erasing wait for them.
    """
    columns = schema.classes.c
    query = select(schema.classes).where(columns.class_id.in_(sorted(set(class_ids)))).order_by(columns.class_id)
    rows = connection.execute(query.with_for_update(read=shared)).mappings()
    return {row["class_id"]: dict(row) for row in rows}
