// The operators that torch sees, on LibTorch's stable ABI: checks, then plain pointers.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>
#include <optional>
#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif
#include "forward.h"

using torch::headeronly::ScalarType;
using torch::stable::Tensor;
using Maybe = std::optional<Tensor>;

namespace {

enum Isa { portable, avx2, avx512, avx512bf16, amx };  // as in collegium/kernels/moe/isa.py

// Whether the processor has AMX for bfloat16 and bytes and Linux lends this process its tiles.
bool has_amx() {
#if defined(__x86_64__) && defined(__linux__)
  unsigned a, b, c, d;
  const unsigned wanted = 1u << 22 | 1u << 24 | 1u << 25;  // AMX-BF16, AMX-TILE, AMX-INT8
  if (!moe::kernels_amx || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & wanted) != wanted) return false;
  constexpr long request_permission = 0x1023, tile_data = 18;  // arch_prctl's; an older Linux refuses
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
  return false;
#endif
}

int64_t supported() {
  int64_t found = 1 << portable;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) found |= 1 << avx2;
  const bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  if (wide) found |= 1 << avx512;
  if (wide && __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni") &&
      __builtin_cpu_supports("avx512vbmi"))
    found |= 1 << avx512bf16 | (has_amx() ? 1 << amx : 0);
#endif
  return found;
}

const moe::Kernels& kernels_of(int64_t isa) {
  static const int64_t there = supported();
  STD_TORCH_CHECK(isa >= 0 && isa < 8 && (there >> isa & 1), "this processor lacks instruction set ", isa);
#if defined(__x86_64__)
  if (isa == avx2) return moe::kernels_avx2();
  if (isa == avx512) return moe::kernels_avx512();
  if (isa == amx) return moe::kernels_amx();
  if (isa == avx512bf16) return moe::kernels_avx512bf16();
#endif
  return moe::kernels_portable();
}

void check(const Tensor& t, ScalarType type, const char* name) {
  STD_TORCH_CHECK(t.is_cpu() && t.is_contiguous() && t.scalar_type() == type, name,
                  " must be contiguous, on the CPU and of its type");
}

bool is_float(const Tensor& t, const char* name) {
  const bool wide = t.scalar_type() == ScalarType::Float;
  check(t, wide ? ScalarType::Float : ScalarType::BFloat16, name);
  return wide;
}

int64_t panel_bytes(moe::Format f, int64_t wide) {
  const int64_t bits[] = {32, 16, 8, 4, 8, 4};
  return wide * moe::kPanel * bits[int(f)] / 8;
}

moe::Matrix matrix(moe::Format f, const Tensor& panels, const Maybe& scales, const Maybe& bias, int64_t wide,
                   int64_t block) {
  check(panels, ScalarType::Byte, "panels");
  STD_TORCH_CHECK(panels.dim() == 3 && wide > 0 && block > 0 && block % 16 == 0 &&
                      panels.size(2) == panel_bytes(f, wide),
                  "the panels' size does not fit the format");
  const bool grouped = f == moe::Format::int4 || f == moe::Format::fp8 || f == moe::Format::mxfp4;
  STD_TORCH_CHECK(block <= 1024 && (!grouped || wide % block == 0), "a group has at most 1024 elements");
  STD_TORCH_CHECK(f != moe::Format::fp8 && f != moe::Format::mxfp4 || block == 128, "blocks of 128 K only");
  const bool plain = f == moe::Format::fp32 || f == moe::Format::bf16;
  STD_TORCH_CHECK(plain != scales.has_value(), "scales are missing or not wanted");
  moe::Matrix m{panels.const_data_ptr<uint8_t>(), panels.size(2), panels.size(1), nullptr, 0, nullptr, wide, block};
  if (scales) {
    check(*scales, f == moe::Format::mxfp4 ? ScalarType::Byte : ScalarType::Float, "scales");
    const int64_t expected = f == moe::Format::int8    ? 1
                             : f == moe::Format::mxfp4 ? wide / 32
                                                       : (wide + block - 1) / block;
    STD_TORCH_CHECK(scales->dim() == 4 && scales->size(0) == panels.size(0) && scales->size(1) == panels.size(1) &&
                        scales->size(2) == expected && scales->size(3) == moe::kPanel,
                    "the scales' size does not fit the panels");
    m.scales = scales->const_data_ptr();
    m.groups = expected;
  }
  if (bias) {
    check(*bias, ScalarType::Float, "bias");
    STD_TORCH_CHECK(bias->numel() == panels.size(0) * panels.size(1) * moe::kPanel, "the bias' size is wrong");
    m.bias = bias->const_data_ptr<float>();
  }
  return m;
}

moe::Grouping sorted_slots(const Tensor& ids, const Tensor& weights, int64_t tokens, int64_t experts) {
  const bool wide = ids.scalar_type() == ScalarType::Long;
  check(ids, wide ? ScalarType::Long : ScalarType::Int, "ids");
  check(weights, ScalarType::Float, "weights");
  STD_TORCH_CHECK(ids.dim() == 2 && weights.dim() == 2 && ids.size(0) == tokens && weights.size(0) == tokens &&
                      ids.size(1) == weights.size(1) && tokens < INT32_MAX,
                  "ids and weights must both be (tokens, k)");
  moe::Grouping sorted;
  int64_t wrong = 0;
  const float* w = weights.const_data_ptr<float>();
  const bool fine =
      wide ? moe::sort_slots(ids.const_data_ptr<int64_t>(), w, tokens, ids.size(1), experts, sorted, wrong)
           : moe::sort_slots(ids.const_data_ptr<int32_t>(), w, tokens, ids.size(1), experts, sorted, wrong);
  STD_TORCH_CHECK(fine, "expert ids must be -1 to ", experts - 1, ": found ", wrong);
  return sorted;
}

void forward(Tensor out, const Tensor x, const Tensor ids, const Tensor weights, const Maybe residual,
             const Tensor up, const Maybe up_scales, const Maybe up_bias, int64_t up_wide, int64_t up_block,
             const Tensor down, const Maybe down_scales, const Maybe down_bias, int64_t down_wide,
             int64_t down_block, int64_t format, bool gated, int64_t activation, int64_t isa, bool add) {
  STD_TORCH_CHECK(format >= 0 && format <= int(moe::Format::mxfp4), "no such format");
  STD_TORCH_CHECK(activation >= 0 && activation <= int(moe::Activation::swigluoai), "no such activation");
  STD_TORCH_CHECK(x.dim() == 2 && out.dim() == 2 && x.size(0) == out.size(0) && x.size(1) == out.size(1),
                  "x and out must both be (tokens, hidden)");
  moe::Problem p{};
  p.format = moe::Format(format);
  p.activation = moe::Activation(activation);
  p.gated = gated;
  p.up = matrix(p.format, up, up_scales, up_bias, up_wide, up_block);
  p.down = matrix(p.format, down, down_scales, down_bias, down_wide, down_block);
  p.tokens = x.size(0);
  p.hidden = x.size(1);
  const int64_t made = p.up.n_panels * (gated ? moe::kHalf : moe::kPanel);
  STD_TORCH_CHECK(up.size(0) == down.size(0) && up_wide >= p.hidden && p.down.n_panels * moe::kPanel >= p.hidden &&
                      down_wide <= moe::up_to(made, 1024),
                  "the two projections don't fit x or each other");
  p.float_source = is_float(x, "x");
  p.source = x.const_data_ptr();
  p.float_out = is_float(out, "out");
  p.out = out.mutable_data_ptr();
  p.add = add;
  STD_TORCH_CHECK(!add || p.float_out, "only a float32 output can be added to");
  if (residual) {
    check(*residual, ScalarType::Float, "residual");
    STD_TORCH_CHECK(residual->numel() == p.tokens, "residual must be (tokens,)");
    p.residual = residual->const_data_ptr<float>();
  }
  const moe::Grouping sorted = sorted_slots(ids, weights, p.tokens, up.size(0));
  moe::forward(kernels_of(isa), p, sorted);
}

}  // namespace

STABLE_TORCH_LIBRARY(collegium_moe, m) {
  m.def(
      "forward(Tensor(a!) out, Tensor x, Tensor ids, Tensor weights, Tensor? residual, Tensor up, "
      "Tensor? up_scales, Tensor? up_bias, int up_wide, int up_block, Tensor down, Tensor? down_scales, "
      "Tensor? down_bias, int down_wide, int down_block, int format, bool gated, int activation, int isa, "
      "bool add) -> ()");
  m.def("supported() -> int");
}

STABLE_TORCH_LIBRARY_IMPL(collegium_moe, CPU, m) { m.impl("forward", TORCH_BOX(&forward)); }
STABLE_TORCH_LIBRARY_IMPL(collegium_moe, CompositeExplicitAutograd, m) { m.impl("supported", TORCH_BOX(&supported)); }
