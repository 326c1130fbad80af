"""How the database came to its present shape: one file a step in `versions/`, written by hand.

A new step is a file `vNNNN_what_it_does.py` beside the others; a test compares the result of all
steps with `tables.py` on SQLite and PostgreSQL.
"""
