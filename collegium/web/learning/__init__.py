"""Replay prompts to experts, mark the answers, fit a router, and report what it would bring."""
