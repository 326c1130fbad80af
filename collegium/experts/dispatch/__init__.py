"""Dispatch: queues, their order, and what happens when an expert fails."""
