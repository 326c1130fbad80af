"""Beliefs: how likely each expert is right, by application and query, and how sure that is."""
