"""Token-level kernels: sparse experts (`moe`) and LoRA on a CPU, and their places in vLLM."""
