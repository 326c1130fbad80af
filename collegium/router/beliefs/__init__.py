"""Beliefs: P(correct) of each expert by application and query, and its uncertainty."""
