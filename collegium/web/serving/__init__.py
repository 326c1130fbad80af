"""Serving: the one way that every request takes, and the parts it passes."""
