// The kernels for one instruction set: its vectors under the common code.
#include "vec_avx512.h"
#include "experts.h"

const moe::Kernels& moe::kernels_avx512() { return kernels; }
