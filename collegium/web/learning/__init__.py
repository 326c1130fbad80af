"""Replay prompts to experts, mark the answers, fit a router, and report the gain to expect."""
