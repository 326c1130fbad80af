"""Collegium: a model-level mixture of experts as a service."""

__version__ = "0.1.0"
