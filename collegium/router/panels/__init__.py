"""Panels: their members, their mode, and whether one is worth its cost."""
