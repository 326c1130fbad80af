"""Measure: how good the experts and the routing are."""
