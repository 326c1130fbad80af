"""Raise an alarm: in the database, for every replica to see, and in the log."""

from __future__ import annotations

import logging

from collegium.registry.alarms import Alarm, AlarmRegistry

log = logging.getLogger(__name__)


async def sound(alarms: AlarmRegistry, alarm: Alarm) -> bool:
    """Raise an alarm; False where the same one is open already."""
    if not await alarms.raise_(alarm):
        return False
    log.warning("alarm %s (%s): %s", alarm.id, alarm.kind, alarm.detail)
    return True
