"""Serving: the common path of all requests, and the parts on it."""
