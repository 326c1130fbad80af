"""Online dispatch: who waits for which expert, in what order, and what happens when one fails."""
