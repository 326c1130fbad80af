"""Protocols: parse requests and encode answers; nothing is decided here."""
