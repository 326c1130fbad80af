"""`collegium eval online`: online learning on a stream that drifts."""
