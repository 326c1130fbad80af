// The kernels for one instruction set: its vectors and tiles under the common code.
#include "vec_avx512.h"
#include "amx.h"
#include "experts.h"

const moe::Kernels& moe::kernels_amx() { return kernels; }
