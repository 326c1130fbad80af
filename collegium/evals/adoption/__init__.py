"""Worlds of recorded outcomes in which a router is adopted: from no marks to thousands."""
