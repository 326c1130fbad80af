"""Which GPUs each engine runs on, and how much of their memory it may use."""
