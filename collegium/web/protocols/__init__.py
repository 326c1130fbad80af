"""Protocols: what callers send, parsed, and what they get, encoded; nothing is decided here."""
