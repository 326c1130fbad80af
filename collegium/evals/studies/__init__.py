"""Experiments on recorded outcomes, each a command of `collegium eval`."""
