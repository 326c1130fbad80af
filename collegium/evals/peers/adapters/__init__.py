"""Adapters that run inside a peer's environment: pass it our arrays and return its choices."""
