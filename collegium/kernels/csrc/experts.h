// The two projections of the experts, as tasks on panels; included once by each instruction set's file.
#pragma once
#include "curves.h"
#include "panel.h"

namespace moe {
namespace {

// Rows of bfloat16 or float as the other, with zeros up to `padded`.
void convert(const void* from, bool float_from, int64_t n, int64_t padded, void* to, bool float_to) {
  const float* wide = static_cast<const float*>(from);
  const uint16_t* narrow = static_cast<const uint16_t*>(from);
  float buffer[16];
  for (int64_t i = 0; i < padded; i += 16) {
    F32 v;
    if (i + 16 <= n) {
      v = float_from ? load(wide + i) : load_bf16(narrow + i);
    } else {
      for (int j = 0; j < 16; ++j) buffer[j] = i + j >= n ? 0.0f : float_from ? wide[i + j] : from_bf16(narrow[i + j]);
      v = load(buffer);
    }
    if (float_to) store(static_cast<float*>(to) + i, v);
    else store_bf16(static_cast<uint16_t*>(to) + i, v);
  }
}

// A bfloat16 row as int8 with one scale, and the sums of its blocks. `n` and `padded` are multiples of 16.
void quantise(const uint16_t* from, int64_t n, int64_t padded, int64_t block, int8_t* to, float* scale,
              int32_t* sums) {
  F32 top = set(0.0f), wrong = set(0.0f);
  for (int64_t i = 0; i < n; i += 16) {
    const F32 v = load_bf16(from + i);
    top = max(absolute(v), top);
    wrong = fma(v, set(0.0f), wrong);  // NaN after NaN or an infinity
  }
  const float largest_value = largest(top);
  float lanes[16];
  store(lanes, wrong);
  bool nan = false;
  for (const float lane : lanes) nan |= lane != lane;
  *scale = nan ? __builtin_nanf("") : largest_value / 127.0f;
  const F32 inverse = set(largest_value > 0 && !nan ? 127.0f / largest_value : 0.0f);
  for (int64_t i = 0, b = 0; i < padded; i += block, ++b) {
    I32 total = iset(0);
    for (int64_t j = i; j < std::min(i + block, padded); j += 16) {
      const I32 codes = j < n ? rounded(mul(load_bf16(from + j), inverse)) : iset(0);
      store_bytes(to + j, codes);
      total = plus(total, codes);
    }
    sums[b] = sum(total);
  }
}

inline F32 finished(const float* sums, float row_scale, const float* bias) {
  F32 v = mul(load(sums), set(row_scale));
  return bias ? add(v, load(bias)) : v;
}

template <class F>
void store_inner(const Problem& p, const Group& g, int64_t row, int64_t column, F32 v) {
  constexpr bool wide = sizeof(typename F::Dot::Element) == 4;
  char* to = static_cast<char*>(p.inner) + inner_at(p, g, row, column, wide ? 4 : 2);
  if constexpr (wide) store(reinterpret_cast<float*>(to), v);
  else store_bf16(reinterpret_cast<uint16_t*>(to), v);
}

inline const float* bias_of(const Matrix& m, int64_t expert, int64_t panel) {
  return m.bias ? m.bias + (expert * m.n_panels + panel) * kPanel : nullptr;
}

// Rows [first, first + count) of a group in a panel. The function is known to the compiler, which then
// keeps its constants in registers.
template <class F, Activation kind>
void activate(const Problem& p, const Group& g, int64_t first, int count, int64_t panel, const float* sums) {
  const float* bias = bias_of(p.up, g.expert, panel);
  for (int r = 0; r < count; ++r, sums += kPanel) {
    const int64_t row = first + r;
    const float scale = p.x.scale ? p.x.scale[p.token[g.first + row]] : 1.0f;
    if (!p.gated) {
      for (int c = 0; c < kPanel; c += 16) {
        const F32 v = finished(sums + c, scale, bias ? bias + c : nullptr);
        store_inner<F>(p, g, row, panel * kPanel + c, curve(v, kind));
      }
      continue;
    }
    for (int c = 0; c < kHalf; c += 16) {
      const F32 gate = finished(sums + c, scale, bias ? bias + c : nullptr);
      const F32 up = finished(sums + kHalf + c, scale, bias ? bias + kHalf + c : nullptr);
      store_inner<F>(p, g, row, panel * kHalf + c, gated_curve(gate, up, kind));
    }
  }
}

template <class F>
void activate(const Problem& p, const Group& g, int64_t first, int count, int64_t panel, const float* sums) {
  switch (p.activation) {
    case Activation::silu: return activate<F, Activation::silu>(p, g, first, count, panel, sums);
    case Activation::gelu: return activate<F, Activation::gelu>(p, g, first, count, panel, sums);
    case Activation::gelu_tanh: return activate<F, Activation::gelu_tanh>(p, g, first, count, panel, sums);
    case Activation::relu2: return activate<F, Activation::relu2>(p, g, first, count, panel, sums);
    case Activation::swigluoai: return activate<F, Activation::swigluoai>(p, g, first, count, panel, sums);
  }
}

// Calls use(row of the group, rows, panel, sums) for all rows of the group times panels [first, last), a
// few rows at a time while their sums are in L1. `then` is the expert whose panel `first` is wanted next.
template <class F, class Use>
void product(const Matrix& m, const Group& g, const Rows& from, const int32_t* index, bool tiled, Run run,
             int64_t then, const Use& use) {
  using Dot = typename F::Dot;
  alignas(64) float sums[kRowBlock * kPanel];
  const int64_t most = rows_of_a_pass<Dot>(m);
  for (int64_t start = 0; start < g.count; start += most) {
    const int rows = int(std::min<int64_t>(most, g.count - start));
    const Operands<Dot> a(m, from, index, g, start, rows, tiled);
    for (int64_t panel = run.first; panel < run.last; ++panel) {
      const bool last = panel + 1 == run.last;
      Ahead ahead(last ? m.panel(then, run.first) : m.panel(g.expert, panel + 1), last && then < 0 ? 0 : m.panel_bytes,
                  a.steps(m));
      const uint8_t* whole = decoded_panel<F>(m, g.expert, panel, rows);
      for (int row = 0; row < rows; row += kRowBlock) {
        const int count = std::min(kRowBlock, rows - row);
        multiply<F>(m, g.expert, panel, a, row, count, whole, ahead, sums);
        use(start + row, count, panel, sums);
      }
    }
  }
}

// The expert whose work comes after a group's, or -1.
inline int64_t next_expert(const Problem& p, int64_t group) {
  return group + 1 < p.n_groups ? p.groups[group + 1].expert : -1;
}

template <class F>
void up_of(const Problem& p, Run run) {
  const Group& g = p.groups[run.group];
  const int64_t then = run.last == p.up.n_panels ? next_expert(p, run.group) : -1;
  product<F>(p.up, g, p.x, p.token, false, run, then,
             [&](int64_t first, int count, int64_t panel, const float* sums) {
    activate<F>(p, g, first, count, panel, sums);
  });
}

inline F32 source_at(const Problem& p, int64_t token, int64_t column) {
  const int64_t at = token * p.hidden + column;
  float buffer[16] = {};
  const int n = int(std::min<int64_t>(16, p.hidden - column));
  for (int i = 0; i < n; ++i)
    buffer[i] = p.float_source ? static_cast<const float*>(p.source)[at + i]
                               : from_bf16(static_cast<const uint16_t*>(p.source)[at + i]);
  return load(buffer);
}

// Sums of the columns of panels [first, last), all tokens: the caller's column block of `p.sums`.
inline void start_sums(const Problem& p, float* sums, int64_t first, int64_t width) {
  for (int64_t t = 0; t < p.tokens; ++t)
    for (int64_t c = 0; c < width; c += 16) {
      const int64_t column = first * kPanel + c;
      const bool from_x = p.residual && column < p.hidden;
      store(sums + t * width + c, from_x ? mul(set(p.residual[t]), source_at(p, t, column)) : set(0.0f));
    }
}

inline void write_out(const Problem& p, const float* sums, int64_t first, int64_t width) {
  const int64_t column = first * kPanel, n = std::min(width, p.hidden - column);
  for (int64_t t = 0; t < p.tokens; ++t) {
    const float* from = sums + t * width;
    const int64_t at = t * p.hidden + column;
    if (!p.float_out) {
      uint16_t* to = static_cast<uint16_t*>(p.out) + at;
      int64_t c = 0;
      for (; c + 16 <= n; c += 16) store_bf16(to + c, load(from + c));
      uint16_t rest[16];
      if (c < n) store_bf16(rest, load(from + c)), std::memcpy(to + c, rest, 2 * (n - c));
    } else {
      float* to = static_cast<float*>(p.out) + at;
      for (int64_t c = 0; c < n; ++c) to[c] = p.add ? to[c] + from[c] : from[c];
    }
  }
}

// Experts ascend, so a token's sum has one order whatever else is in the batch.
template <class F>
void down_of(const Problem& p, int64_t first, int64_t last) {
  const int64_t width = (last - first) * kPanel;
  float* total = p.sums + p.tokens * first * kPanel;
  start_sums(p, total, first, width);
  for (int64_t i = 0; i < p.n_groups; ++i) {
    const Group& g = p.groups[i];
    product<F>(p.down, g, p.h, nullptr, p.tiled, {i, first, last}, next_expert(p, i),
               [&](int64_t start, int count, int64_t panel, const float* sums) {
      const float* bias = bias_of(p.down, g.expert, panel);
      for (int r = 0; r < count; ++r) {
        const int64_t slot = g.first + start + r;
        const F32 weight = set(p.weight[slot]);
        const float scale = p.h.scale ? p.h.scale[slot] : 1.0f;
        float* to = total + p.token[slot] * width + (panel - first) * kPanel;
        for (int c = 0; c < kPanel; c += 16) {
          const F32 v = finished(sums + r * kPanel + c, scale, bias ? bias + c : nullptr);
          store(to + c, fma(weight, v, load(to + c)));
        }
      }
    });
  }
  write_out(p, total, first, width);
}

void up(const Problem& p, Run run) {
  switch (p.format) {
    case Format::fp32: return up_of<Fp32>(p, run);
    case Format::bf16: return up_of<Bf16>(p, run);
    case Format::int8: return up_of<Int8>(p, run);
    case Format::int4: return up_of<Int4>(p, run);
    case Format::fp8: return up_of<Fp8>(p, run);
    case Format::mxfp4: return up_of<Mxfp4>(p, run);
  }
}

void down(const Problem& p, int64_t first, int64_t last) {
  switch (p.format) {
    case Format::fp32: return down_of<Fp32>(p, first, last);
    case Format::bf16: return down_of<Bf16>(p, first, last);
    case Format::int8: return down_of<Int8>(p, first, last);
    case Format::int4: return down_of<Int4>(p, first, last);
    case Format::fp8: return down_of<Fp8>(p, first, last);
    case Format::mxfp4: return down_of<Mxfp4>(p, first, last);
  }
}

const Kernels kernels{kTiled, convert, quantise, up, down};

}  // namespace
}  // namespace moe
