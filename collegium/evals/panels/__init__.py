"""Panels on recorded answers: what each mode gains, what it costs, and when it pays."""
