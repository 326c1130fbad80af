// What one call computes, in plain pointers: shared by the torch side and every instruction set.
#pragma once
#include <cstdint>

namespace moe {

constexpr int kPanel = 64;          // columns of a panel
constexpr int kHalf = kPanel / 2;   // gate or up columns of a gated panel
constexpr int kRowBlock = 96;       // rows whose sums wait in L1 while a block of K is applied

enum class Format { fp32, bf16, int8, int4, fp8, mxfp4 };
enum class Activation { silu, gelu, gelu_tanh, relu2, swigluoai };

inline bool is_integer(Format f) { return f == Format::int8 || f == Format::int4; }

// One projection of all experts, as collegium/kernels/moe/layout.py packs it.
struct Matrix {
  const uint8_t* panels;
  int64_t panel_bytes;
  int64_t n_panels;      // of one expert
  const void* scales;    // float, or uint8 exponents for mxfp4; null where there are none
  int64_t groups;        // scales of a column
  const float* bias;     // null where there is none
  int64_t wide;          // K, padded
  int64_t block;         // K that is summed in registers before it is scaled

  const uint8_t* panel(int64_t expert, int64_t p) const {
    return panels + (expert * n_panels + p) * panel_bytes;
  }
};

// Activations in the type that the format computes with, `stride` elements apart.
struct Rows {
  const void* data;
  int64_t stride;
  const float* scale;    // of each row; integer formats only
  const int32_t* sums;   // of each row and block of K; integer formats only
  int64_t blocks;
};

// The slots of one expert: [first, first + count) of the slots in their sorted order.
struct Group {
  int64_t expert, first, count;
  int64_t tiled;         // its first row among rows in tiles
};

constexpr int kHigh = 16;      // rows of a tile
constexpr int64_t kLine = 64;  // bytes of a row of a tile

// Tiles of a group are as high as it has rows, sixteen at most; its last one is whole.
inline int64_t tile_height(int64_t count) { return count < kHigh ? count : kHigh; }
inline int64_t tiled_rows(int64_t count) { return count < kHigh ? count : (count + kHigh - 1) / kHigh * kHigh; }

// Where a byte of a group's row is, if tiles lie one after another: (tiles, steps of 64 bytes, rows, 64).
inline int64_t tiled_at(const Group& g, int64_t row, int64_t byte, int64_t stride) {
  const int64_t high = tile_height(g.count), tile = row / kHigh;
  return (g.tiled + tile * kHigh) * stride + (byte / kLine * high + row % kHigh) * kLine + byte % kLine;
}

struct Problem {
  Format format;
  Activation activation;
  bool gated;
  Matrix up, down;
  const Group* groups;
  int64_t n_groups;
  const int32_t* token;    // of each sorted slot
  const float* weight;     // of each sorted slot
  Rows x;                  // by token
  void* inner;             // (slots, inner_stride), bfloat16 or float
  int64_t inner_stride;
  bool tiled;              // `inner` lies as `tiled_at` says, and so does `h`, which is the same
  Rows h;                  // by sorted slot: `inner`, quantised where the format wants it
  int64_t tokens, hidden;
  float* sums;             // (tokens, panels * 64) of the outputs
  const void* source;      // x as the caller gave it, for the residual
  bool float_source;
  const float* residual;   // a token's share of x itself, or null
  void* out;
  bool float_out, add;     // `add`: onto what is in `out`
};

// Where an element of `inner` is, in bytes.
inline int64_t inner_at(const Problem& p, const Group& g, int64_t row, int64_t column, int64_t size) {
  return p.tiled ? tiled_at(g, row, column * size, p.inner_stride * size)
                 : ((g.first + row) * p.inner_stride + column) * size;
}

// Panels [first, last) of a group's expert.
struct Run {
  int64_t group, first, last;
};

// The functions that each instruction set provides.
struct Kernels {
  bool tiles;  // rows of bfloat16 are wanted in tiles
  void (*convert)(const void* from, bool float_from, int64_t n, int64_t padded, void* to, bool float_to);
  void (*quantise)(const uint16_t* from, int64_t n, int64_t padded, int64_t block, int8_t* to,
                   float* scale, int32_t* sums);
  void (*up)(const Problem& p, Run run);
  void (*down)(const Problem& p, int64_t first, int64_t last);
};

const Kernels& kernels_portable();
#if defined(__x86_64__)
const Kernels& kernels_avx2();
const Kernels& kernels_avx512();
const Kernels& kernels_avx512bf16();
const Kernels& kernels_amx() __attribute__((weak));  // null where the compiler knows no AMX
#endif

}  // namespace moe
