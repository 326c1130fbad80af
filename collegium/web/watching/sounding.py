"""Raise an alarm: in the database, visible to every replica, and in the log."""

from __future__ import annotations

import logging

from collegium.registry.learning.alarms import Alarm, AlarmRegistry

log = logging.getLogger(__name__)


async def sound(alarms: AlarmRegistry, alarm: Alarm) -> bool:
    """Raise an alarm; return False if the same one is already open."""
    if not await alarms.raise_(alarm):
        return False
    log.warning("alarm %s (%s): %s", alarm.id, alarm.kind, alarm.detail)
    return True
