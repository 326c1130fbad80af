"""Question generators, one file per kind: `draw(random, level)`."""
