"""Bulk jobs: routed as a whole, grouped by expert, checkpointed line by line."""
