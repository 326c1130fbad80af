"""Several answers to one query, and how they become one."""
