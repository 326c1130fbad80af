"""`python -m collegium.kernels.moe`: build the kernels now rather than at the first use."""

from collegium.kernels.moe.build import main

main()
