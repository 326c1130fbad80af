"""Replay a recorded trace of requests against a service, and measure what its callers get."""
