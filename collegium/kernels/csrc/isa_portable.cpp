// The kernels for one instruction set: its vectors under the common code.
#include "vec_portable.h"
#include "experts.h"

const moe::Kernels& moe::kernels_portable() { return kernels; }
