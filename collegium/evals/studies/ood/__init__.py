"""`collegium eval ood`: detection of out-of-scope queries."""
