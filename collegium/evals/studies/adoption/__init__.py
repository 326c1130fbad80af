"""Adoption of a router in worlds of recorded outcomes, from no marks to thousands."""
