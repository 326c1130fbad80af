"""Several processes that answer for one engine, and where on a Ray cluster they run."""
