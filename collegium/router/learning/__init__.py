"""From replayed answers to a router: what to ask, what marks say, and what a switch would bring."""
