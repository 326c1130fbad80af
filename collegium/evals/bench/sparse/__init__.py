"""`collegium bench sparse`: the speed of vLLM on sparse models."""
