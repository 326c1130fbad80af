"""Decide: which expert answers a query, and why."""
