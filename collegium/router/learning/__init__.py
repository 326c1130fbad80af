"""From replayed answers to a router: sampling, marks, fitting, and the expected improvement."""
