"""Routes: one file per resource; handlers declare the parts that they need in their signatures."""
