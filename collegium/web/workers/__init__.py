"""Several processes that answer for one service on one machine, and the one that owns the rest."""
