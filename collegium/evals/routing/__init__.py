"""Evaluate routers on recorded outcomes: splits, baselines, metrics, intervals, reports."""
