"""Panels on recorded answers: the gain and cost of each mode, and when it pays."""
