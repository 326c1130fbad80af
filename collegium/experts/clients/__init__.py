"""Clients: how each kind of expert is asked, and the one reply that all of them give."""
