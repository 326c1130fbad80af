"""Routes: one file a resource; a handler names the parts that it needs in its signature."""
