"""Residency: which engines are loaded when not all of them fit."""
