"""Panels: several answers to one query, combined into one."""
