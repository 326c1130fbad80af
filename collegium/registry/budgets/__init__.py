"""Budgets: limits, the counters that enforce them, and the usage that is reported."""
