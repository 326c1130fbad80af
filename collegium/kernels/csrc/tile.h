// The innermost loops: up to six rows times a panel of 64 columns, one sum for each element.
//
// K only ever ascends and is never split, so the value of an element depends on its row and its column
// alone, not on how many rows share the tile.
#pragma once
#include "problem.h"

namespace moe {
namespace {

constexpr int kTileRows = 6;

// Write or add a register tile, scaled by column where the format has scales.
template <int R, int C>
inline void settle(F32 (&acc)[R][C], float* sums, int column, const float* scale, bool first) {
#pragma GCC unroll 4
  for (int c = 0; c < C; ++c) {
    const int at = column + 16 * c;
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) {
      float* to = sums + r * kPanel + at;
      if (scale) acc[r][c] = mul(acc[r][c], load(scale + at));
      store(to, first ? acc[r][c] : add(load(to), acc[r][c]));
    }
  }
}

struct FloatDot {
  using Element = float;
  static constexpr int together = 1, row_bytes = 4 * kPanel;

  template <int R, int C>
  static void tile(const Element* const* a, const uint8_t* panel, int64_t k, float* sums, int column,
                   const float* scale, bool first, const int32_t* const*, int64_t, int) {
    F32 acc[R][C];
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int c = 0; c < C; ++c) acc[r][c] = set(0.0f);
    const float* b = reinterpret_cast<const float*>(panel) + column;
    for (int64_t i = 0; i < k; ++i, b += kPanel) {
      F32 w[C];
#pragma GCC unroll 4
      for (int c = 0; c < C; ++c) w[c] = load(b + 16 * c);
#pragma GCC unroll 6
      for (int r = 0; r < R; ++r) {
        const F32 x = set(a[r][i]);
#pragma GCC unroll 4
        for (int c = 0; c < C; ++c) acc[r][c] = fma(x, w[c], acc[r][c]);
      }
    }
    settle(acc, sums, column, scale, first);
  }
};

struct PairDot {
  using Element = uint16_t;
  static constexpr int together = 2, row_bytes = 2 * kPanel;

  template <int R, int C>
  static void tile(const Element* const* a, const uint8_t* panel, int64_t k, float* sums, int column,
                   const float* scale, bool first, const int32_t* const*, int64_t, int) {
    F32 acc[R][C];
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int c = 0; c < C; ++c) acc[r][c] = set(0.0f);
    const uint16_t* b = reinterpret_cast<const uint16_t*>(panel) + 2 * column;
    for (int64_t i = 0; i < k; i += 2, b += 2 * kPanel) {
      step<R, C>(acc, a, i, b);
    }
    settle(acc, sums, column, scale, first);
  }

 private:
  template <int R, int C>
  static inline void step(F32 (&acc)[R][C], const Element* const* a, int64_t i, const uint16_t* b) {
    Pairs w[C];
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c) w[c] = load_pairs(b + 32 * c);
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) {
      const Pairs x = spread_pair(a[r] + i);
#pragma GCC unroll 4
      for (int c = 0; c < C; ++c) acc[r][c] = dot(acc[r][c], x, w[c]);
    }
  }
};

// Weights are stored with `zero` added, so a row's sum over the block times that is taken off first.
struct ByteDot {
  using Element = int8_t;
  static constexpr int together = 4, row_bytes = kPanel;

  template <int R, int C>
  static void tile(const Element* const* a, const uint8_t* panel, int64_t k, float* sums, int column,
                   const float* scale, bool first, const int32_t* const* row_sums, int64_t block,
                   int zero) {
    I32 acc[R][C];
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) {
      const I32 start = iset(-zero * row_sums[r][block]);
#pragma GCC unroll 4
      for (int c = 0; c < C; ++c) acc[r][c] = start;
    }
    const uint8_t* b = panel + 4 * column;
    for (int64_t i = 0; i < k; i += 4, b += 4 * kPanel) {
      Bytes w[C];
#pragma GCC unroll 4
      for (int c = 0; c < C; ++c) w[c] = load_bytes(b + 64 * c);
#pragma GCC unroll 6
      for (int r = 0; r < R; ++r) {
        const Bytes x = spread_quad(a[r] + i);
#pragma GCC unroll 4
        for (int c = 0; c < C; ++c) acc[r][c] = dot(acc[r][c], w[c], x);
      }
    }
    F32 sum[R][C];
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int c = 0; c < C; ++c) sum[r][c] = to_float(acc[r][c]);
    settle(sum, sums, column, scale, first);
  }
};

// Nibbles taken apart in registers, for few rows: the same integers as by way of decoded bytes.
struct NibbleDot {
  template <int R, int C>
  static void tile(const int8_t* const* a, const uint8_t* panel, int64_t k, float* sums, int column,
                   const float* scale, bool first, const int32_t* const* row_sums, int64_t block, int zero) {
    I32 acc[R][C];
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) {
      const I32 start = iset(-zero * row_sums[r][block]);
#pragma GCC unroll 4
      for (int c = 0; c < C; ++c) acc[r][c] = start;
    }
    const uint8_t* b = panel + 4 * column;
    for (int64_t i = 0; i < k; i += 8, b += 4 * kPanel) {
      Bytes w[C];
#pragma GCC unroll 4
      for (int c = 0; c < C; ++c) w[c] = load_bytes(b + 64 * c);
#pragma GCC unroll 6
      for (int r = 0; r < R; ++r) {
        const Bytes x = spread_quad(a[r] + i), y = spread_quad(a[r] + i + 4);
#pragma GCC unroll 4
        for (int c = 0; c < C; ++c) acc[r][c] = dot(dot(acc[r][c], low_nibbles(w[c]), x), high_nibbles(w[c]), y);
      }
    }
    F32 sum[R][C];
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int c = 0; c < C; ++c) sum[r][c] = to_float(acc[r][c]);
    settle(sum, sums, column, scale, first);
  }
};

}  // namespace
}  // namespace moe
