"""The registry: experts, engines, keys, decisions and outcomes in a database, and shared state."""
