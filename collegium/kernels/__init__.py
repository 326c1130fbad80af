"""Token-level mixture-of-experts kernels: nothing here yet; the design is in docs/decisions."""
