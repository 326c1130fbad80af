"""Training: routers on recorded outcomes, specialists, the sparse mixture."""
