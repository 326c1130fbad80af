"""Batches: routed whole, grouped by who answers, checkpointed line by line."""
