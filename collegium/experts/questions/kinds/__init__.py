"""Generators of questions, one file a kind: `draw(random, level)`."""
