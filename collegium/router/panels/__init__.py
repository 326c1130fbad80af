"""Who sits on a panel, how it answers, and whether one is worth its cost."""
