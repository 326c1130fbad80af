// Rows times one panel, for any number of rows: blocks of K, decoded once, applied in tiles of rows.
#pragma once
#include <algorithm>
#include <type_traits>
#include "formats.h"
#if !defined(MOE_AMX)
#include "no_tiles.h"
#endif

namespace moe {
namespace {

constexpr int64_t kLargestBlock = 1024;  // of a format that is decoded to bytes

// Whether a dot product is taken on AMX tiles. So few rows of bytes as one tile of vectors holds are
// not: integers come out the same either way.
template <class Dot>
bool in_tiles(int count) {
  using Element = typename Dot::Element;
  return kTiled && (sizeof(Element) == 2 || (sizeof(Element) == 1 && count > kTileRows));
}

// Rows that one pass over the panels serves: on tiles as many as fill 5/8 of L2.
template <class Dot>
int64_t rows_of_a_pass(const Matrix& m) {
  using Element = typename Dot::Element;
  if (!kTiled || sizeof(Element) == 4) return kRowBlock;
  const int64_t fit = l2_bytes() * 5 / 8 / (m.wide * int64_t(sizeof(Element)));
  return std::clamp<int64_t>(fit / kRowBlock * kRowBlock, kRowBlock, kMostRows);
}

// Rows of a group, from `first` on: of `index`, or the rows themselves, which may lie in tiles already.
template <class Dot>
struct Operands {
  using Element = typename Dot::Element;
  const Element* rows[kMostRows];
  const int32_t* sums[kMostRows];
  int count;
  Gathered tiles;

  Operands(const Matrix& m, const Rows& from, const int32_t* index, const Group& g, int64_t first, int n, bool tiled)
      : count(tiled ? n : pointed(from, index, g.first + first, n)),
        tiles(tiled ? Gathered(static_cast<const uint8_t*>(from.data), g, first, n, from.stride * sizeof(Element),
                               m.block * sizeof(Element))
                    : Gathered(reinterpret_cast<const uint8_t* const*>(rows), in_tiles<Dot>(n) ? n : 0,
                               m.wide * sizeof(Element), m.block * sizeof(Element))) {}

  // Steps of all tiles of rows in K.
  int64_t steps(const Matrix& m) const {
    return in_tiles<Dot>(count) ? tiled_rows(count) / tile_height(count) * ((m.wide * sizeof(Element) + 63) / 64) : 0;
  }

 private:
  int pointed(const Rows& from, const int32_t* index, int64_t first, int n) {
    for (int r = 0; r < n; ++r) {
      const int64_t row = index ? index[first + r] : first + r;
      rows[r] = static_cast<const Element*>(from.data) + row * from.stride;
      sums[r] = from.sums + row * from.blocks;
    }
    return n;
  }
};

template <class Dot, class Element, int R>
void tile_row(const Element* const* a, const uint8_t* panel, int64_t k, float* sums,
              const float* scale, bool first, const int32_t* const* row_sums, int64_t block, int zero) {
  for (int column = 0; column < kPanel; column += 16 * kColumns)
    Dot::template tile<R, kColumns>(a, panel, k, sums, column, scale, first, row_sums, block, zero);
}

template <class Element>
using TileRow = void (*)(const Element* const*, const uint8_t*, int64_t, float*, const float*, bool,
                         const int32_t* const*, int64_t, int);

template <class Dot, class Element>
constexpr TileRow<Element> kTiles[kTileRows] = {
    tile_row<Dot, Element, 1>, tile_row<Dot, Element, 2>, tile_row<Dot, Element, 3>,
    tile_row<Dot, Element, 4>, tile_row<Dot, Element, 5>, tile_row<Dot, Element, 6>};

// A whole panel decoded, for more rows than are multiplied at once; else, and where nothing is decoded, null.
template <class F>
const uint8_t* decoded_panel(const Matrix& m, int64_t expert, int64_t p, int rows) {
  using Element = typename F::Dot::Element;
  if (!F::decodes || !in_tiles<typename F::Dot>(rows) || rows <= kRowBlock) return nullptr;
  uint8_t* to = buffer<1>(m.wide * kPanel * sizeof(Element));
  const uint8_t* exponents = static_cast<const uint8_t*>(m.scales) + (expert * m.n_panels + p) * m.groups * kPanel;
  F::decode(m.panel(expert, p), exponents, m.wide, to);
  return to;
}

// `sums` (count, 64) gets the products of rows [from, from + count) with the panel; column scales are
// applied, row scales not. `whole` is the panel decoded, or null.
template <class F>
void multiply(const Matrix& m, int64_t expert, int64_t p, const Operands<typename F::Dot>& a, int from, int count,
              const uint8_t* whole, Ahead& ahead, float* sums) {
  using Dot = typename F::Dot;
  using Element = typename Dot::Element;
  alignas(64) uint8_t decoded[F::decodes ? kLargestBlock * kPanel : 64];
  const uint8_t* panel = m.panel(expert, p);
  const int64_t scale_at = (expert * m.n_panels + p) * m.groups * kPanel;
  const float* scales = F::scaled ? static_cast<const float*>(m.scales) + scale_at : nullptr;
  const uint8_t* exponents = m.scales ? static_cast<const uint8_t*>(m.scales) + scale_at : nullptr;
  const bool tiled = in_tiles<Dot>(a.count);
  const int64_t block_of = tiled && F::whole ? m.wide : m.block;
  const int tiles = (count + kTileRows - 1) / kTileRows;
  for (int64_t k = 0, block = 0; k < m.wide; k += block_of, ++block) {
    const int64_t deep = std::min(block_of, m.wide - k);
    const uint8_t* codes = panel + F::bytes(k);
    const float* scale = F::scaled ? scales + (F::scaled_by_block ? block * kPanel : 0) : nullptr;
    if constexpr (!std::is_void_v<typename F::FewDot>) {
      if (!tiled && tiles == 1) {
        const Element* shifted[kTileRows];
        for (int r = 0; r < count; ++r) shifted[r] = a.rows[from + r] + k;
        kTiles<typename F::FewDot, Element>[count - 1](shifted, codes, deep, sums, scale, block == 0, a.sums + from,
                                                       block, F::zero);
        continue;
      }
    }
    const uint8_t* b = whole ? whole + k * kPanel * int64_t(sizeof(Element))
                             : F::decode(codes, exponents + k / 32 * kPanel, deep, decoded);
    if (tiled) {
      apply_tiles<sizeof(Element) == 1>(a.tiles, from, count, b, deep * kPanel * int(sizeof(Element)), ahead, sums,
                                        scale, block == 0, a.sums + from, block, F::zero);
      continue;
    }
    for (int t = 0, row = 0; t < tiles; ++t) {
      const int rows = (count - row + tiles - t - 1) / (tiles - t);  // tiles of nearly equal height
      const Element* shifted[kTileRows];
      for (int r = 0; r < rows; ++r) shifted[r] = a.rows[from + row + r] + k;
      kTiles<Dot, Element>[rows - 1](shifted, b, deep, sums + row * kPanel, scale, block == 0, a.sums + from + row,
                                     block, F::zero);
      row += rows;
    }
  }
}

}  // namespace
}  // namespace moe
