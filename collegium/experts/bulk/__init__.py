"""Bulk work: input lines grouped by expert, with results written exactly once."""
