"""Train the sparse mixture's gates, and make sparse models smaller."""
