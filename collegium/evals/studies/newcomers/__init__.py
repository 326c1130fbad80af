"""`collegium eval newcomers`: how many marks a model that joins late needs."""
