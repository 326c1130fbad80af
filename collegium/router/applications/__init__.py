"""Applications: sources of requests, recognised by a tag or by similar requests."""
