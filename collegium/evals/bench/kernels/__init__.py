"""`collegium bench kernels`: the speed of the experts' kernels, compared with others."""
