"""Clients: one per kind of expert, all returning the same reply."""
