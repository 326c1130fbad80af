"""Bulk work: lines in, grouped by who answers them, results written exactly once."""
