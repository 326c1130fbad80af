"""Load tests: replay a recorded trace of requests against a service."""
