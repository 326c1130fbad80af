"""What learning keeps: runs, router versions, replays and alarms."""
