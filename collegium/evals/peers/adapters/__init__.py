"""What runs inside a peer's environment: hand our arrays to its code, and take its choices."""
