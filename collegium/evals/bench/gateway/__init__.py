"""`collegium bench gateway`: the gateway's speed, compared with others."""
