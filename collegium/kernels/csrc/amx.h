// A block of K on AMX tiles: 32 rows x 32 columns of sums at a time, or 16 x 64 where fewer rows are left.
//
// A row of a tile is computed for itself and K only ascends, so here too an element's value depends on
// its row and its column alone. The panels' pairs and quads are what the tiles take, 256 bytes apart.
#pragma once
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <unistd.h>
#include "problem.h"

#define MOE_AMX 1

namespace moe {
namespace {

constexpr bool kTiled = true;
constexpr int kMostRows = 10 * kRowBlock;   // of one pass over the panels
constexpr int64_t kApart = 4 * kPanel;      // bytes between rows of a panel's tile
constexpr int64_t kDeep = kHigh * kApart;   // bytes of a panel that one step in K takes

// GCC's tile intrinsics don't tell that they read memory: what was written must be there before them.
inline void written() { asm volatile("" ::: "memory"); }

// This thread's tiles, while it lives: sums in 0 to 3, rows in 4 and 5, a panel's in 6 and 7.
class Tiles {
 public:
  explicit Tiles(int high) : there_(high > 0) {
    if (!there_) return;
    struct alignas(64) {
      uint8_t palette = 1, start = 0, none[14] = {};
      uint16_t bytes[16] = {};
      uint8_t rows[16] = {};
    } shape;
    for (int t = 0; t < 8; ++t) shape.bytes[t] = kLine, shape.rows[t] = uint8_t(t < 6 ? high : 16);
    written();
    _tile_loadconfig(&shape);
  }
  ~Tiles() {
    if (there_) _tile_release();  // else the system saves 8 KiB at each switch of the thread
  }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;

 private:
  bool there_;
};

inline int64_t l2_bytes() {
  static const int64_t found = sysconf(_SC_LEVEL2_CACHE_SIZE);
  return found > 0 ? found : 1 << 20;
}

// Memory of this thread that grows and stays.
template <int which>
uint8_t* buffer(size_t bytes) {
  struct Owner {
    uint8_t* data = nullptr;
    size_t size = 0;
    ~Owner() { std::free(data); }
  };
  thread_local Owner owner;
  if (owner.size < bytes) {
    std::free(owner.data);
    owner.size = 0;
    owner.data = static_cast<uint8_t*>(std::aligned_alloc(kLine, bytes));
    if (!owner.data) throw std::bad_alloc();
    owner.size = bytes;
  }
  return owner.data;
}

// Rows of a group as tiles one after another: (tiles, blocks of K, steps, rows, 64 bytes).
class Gathered {
 public:
  // Copies `count` rows of `bytes`, with zeros where K ends; rows that fill up a tile have anything.
  Gathered(const uint8_t* const* rows, int count, int64_t bytes, int64_t block_bytes)
      : high_(int(tile_height(count))), steps_(up_to_line(block_bytes) / kLine), state_(high_) {
    if (!count) return;
    const bool aligned = block_bytes % kLine == 0;  // then blocks follow without a gap
    const int64_t blocks = aligned ? 1 : (bytes + block_bytes - 1) / block_bytes;
    tile_bytes_ = high_ * (aligned ? up_to_line(bytes) : blocks * steps_ * kLine);
    uint8_t* to = buffer<0>(size_t(tiled_rows(count) / high_ * tile_bytes_));
    tiles_ = to;
    for (int row = 0; row < count; ++row) {
      uint8_t* line = to + row / kHigh * tile_bytes_ + row % kHigh * kLine;
      for (int64_t b = 0; b < blocks; ++b, line += steps_ * high_ * kLine)
        spread(rows[row] + b * block_bytes, aligned ? bytes : std::min(block_bytes, bytes - b * block_bytes), line);
    }
  }
  // Rows that lie so already; `stride` is the bytes of one.
  Gathered(const uint8_t* data, const Group& g, int64_t first, int, int64_t stride, int64_t block_bytes)
      : high_(int(tile_height(g.count))), steps_(block_bytes / kLine), tile_bytes_(high_ * stride),
        tiles_(data + (g.tiled + first) * stride), state_(high_) {}
  Gathered(const Gathered&) = delete;
  Gathered& operator=(const Gathered&) = delete;

  int high() const { return high_; }
  const uint8_t* tile(int64_t t, int64_t block) const {
    return tiles_ + t * tile_bytes_ + block * steps_ * high_ * kLine;
  }

 private:
  static int64_t up_to_line(int64_t bytes) { return (bytes + kLine - 1) / kLine * kLine; }
  void spread(const uint8_t* from, int64_t bytes, uint8_t* line) const {
    const int64_t apart = high_ * kLine;
    for (; bytes >= kLine; bytes -= kLine, from += kLine, line += apart) std::memcpy(line, from, kLine);
    if (bytes > 0) {
      std::memcpy(line, from, bytes);
      std::memset(line + bytes, 0, kLine - bytes);
    }
  }
  int high_;
  int64_t steps_;  // of a block
  int64_t tile_bytes_ = 0;
  const uint8_t* tiles_ = nullptr;
  Tiles state_;
};

// Memory that is read soon, asked for in so many steps.
class Ahead {
 public:
  Ahead(const uint8_t* from, int64_t bytes, int64_t steps)
      : at_(from), end_(from + bytes), each_(steps ? (bytes + kLine * steps - 1) / (kLine * steps) : 0) {}
  void step() {
    for (int64_t i = 0; i < each_ && at_ < end_; ++i, at_ += kLine) __builtin_prefetch(at_, 0, 2);
  }

 private:
  const uint8_t* at_;
  const uint8_t* end_;
  int64_t each_;
};

// A panel's block: whole steps where they lie, and the rest of K in a copy with zeros.
struct Steps {
  const uint8_t* codes;
  const uint8_t* rest;
  int64_t whole, all;
  const uint8_t* at(int64_t s) const { return s < whole ? codes + s * kDeep : rest; }
};

#define MOE_DOT(c, a, b)                          \
  do {                                            \
    if constexpr (integer) _tile_dpbsud(c, a, b); \
    else _tile_dpbf16ps(c, a, b);                 \
  } while (0)

// One tile of rows with 64 columns; the sums go `to` (16, 64).
template <bool integer>
void one_by_four(const uint8_t* a, int64_t tile_bytes, const Steps& panel, Ahead& ahead, void* to) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int64_t s = 0; s < panel.all; ++s, a += tile_bytes) {
    const uint8_t* b = panel.at(s);
    ahead.step();
    _tile_loadd(4, a, kLine);
    _tile_loadd(6, b, kApart);
    MOE_DOT(0, 4, 6);
    _tile_loadd(7, b + kLine, kApart);
    MOE_DOT(1, 4, 7);
    _tile_loadd(6, b + 2 * kLine, kApart);
    MOE_DOT(2, 4, 6);
    _tile_loadd(7, b + 3 * kLine, kApart);
    MOE_DOT(3, 4, 7);
  }
  uint8_t* sums = static_cast<uint8_t*>(to);
  _tile_stored(0, sums, kApart);
  _tile_stored(1, sums + kLine, kApart);
  _tile_stored(2, sums + 2 * kLine, kApart);
  _tile_stored(3, sums + 3 * kLine, kApart);
}

// Two tiles of rows with the 32 columns from `column` bytes; the sums go `to` (32, 64).
template <bool integer>
void two_by_two(const uint8_t* a, const uint8_t* next, int64_t tile_bytes, const Steps& panel, int64_t column,
                Ahead& ahead, void* to) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int64_t s = 0; s < panel.all; ++s, a += tile_bytes, next += tile_bytes) {
    const uint8_t* b = panel.at(s) + column;
    ahead.step();
    _tile_loadd(6, b, kApart);
    _tile_loadd(4, a, kLine);
    MOE_DOT(0, 4, 6);
    _tile_loadd(7, b + kLine, kApart);
    MOE_DOT(1, 4, 7);
    _tile_loadd(5, next, kLine);
    MOE_DOT(2, 5, 6);
    MOE_DOT(3, 5, 7);
  }
  uint8_t* sums = static_cast<uint8_t*>(to) + column;
  _tile_stored(0, sums, kApart);
  _tile_stored(1, sums + kLine, kApart);
  _tile_stored(2, sums + kHigh * kApart, kApart);
  _tile_stored(3, sums + kHigh * kApart + kLine, kApart);
}

#undef MOE_DOT

// The same value, bit for bit, as ByteDot's for integers: scaled and added in the same order.
template <bool integer>
void settle_rows(const void* found, int rows, float* sums, const float* scale, bool first,
                 const int32_t* const* row_sums, int64_t block, int zero) {
  for (int r = 0; r < rows; ++r)
    for (int c = 0; c < kPanel; c += 16) {
      const int at = r * kPanel + c;
      F32 v;
      if constexpr (integer) v = to_float(minus(static_cast<const int32_t*>(found) + at, zero * row_sums[r][block]));
      else v = load(static_cast<const float*>(found) + at);
      if (scale) v = mul(v, load(scale + c));
      store(sums + at, first ? v : add(load(sums + at), v));
    }
}

// Rows [from, from + count) with a block of `bytes` / 256 pairs or quads of a panel.
template <bool integer>
void apply_tiles(const Gathered& a, int from, int count, const uint8_t* codes, int64_t bytes, Ahead& ahead,
                 float* sums, const float* scale, bool first, const int32_t* const* row_sums, int64_t block, int zero) {
  alignas(64) uint8_t rest[kDeep];
  alignas(64) uint8_t found[2 * kHigh * kApart];
  const Steps panel{codes, rest, bytes / kDeep, (bytes + kDeep - 1) / kDeep};
  if (panel.all > panel.whole) {
    const int64_t there = bytes - panel.whole * kDeep;
    std::memcpy(rest, codes + panel.whole * kDeep, there);
    std::memset(rest + there, 0, kDeep - there);
  }
  const int64_t tile_bytes = a.high() * kLine;
  written();
  const bool settled = !integer && !scale && first;  // nothing is left to do: tiles are as far apart as sums
  for (int done = 0; done < count; done += 2 * kHigh) {
    const uint8_t* rows = a.tile((from + done) / kHigh, block);
    void* to = settled ? static_cast<void*>(sums + done * kPanel) : found;
    if (done + kHigh < count) {
      const uint8_t* next = a.tile((from + done) / kHigh + 1, block);
      two_by_two<integer>(rows, next, tile_bytes, panel, 0, ahead, to);
      two_by_two<integer>(rows, next, tile_bytes, panel, 2 * kLine, ahead, to);
    } else {
      one_by_four<integer>(rows, tile_bytes, panel, ahead, to);
    }
    if (!settled)
      settle_rows<integer>(found, std::min(2 * kHigh, count - done), sums + done * kPanel, scale, first,
                           row_sums + done, block, zero);
  }
  written();
}

}  // namespace
}  // namespace moe
