"""How many bytes owners store."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import func, select

from collegium.registry.storage.database import Database
from collegium.registry.tables import FileRow, ResponseRow


async def stored_bytes(database: Database, owners: Collection[str]) -> int:
    """Return the bytes of the files and of the kept responses of some owners."""
    names = sorted(owners)
    async with database.session() as session:
        sums = [
            await session.scalar(select(func.sum(table.bytes)).where(table.owner.in_(names)))
            for table in (FileRow, ResponseRow)
        ]
    return sum(int(each or 0) for each in sums)
