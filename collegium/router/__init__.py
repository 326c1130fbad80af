"""The router: decides which expert answers a query, and explains why."""
