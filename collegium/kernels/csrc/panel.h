// Rows times one panel, for any number of rows: blocks of K, decoded once, applied in tiles of rows.
#pragma once
#include <algorithm>
#include <type_traits>
#include "formats.h"

namespace moe {
namespace {

constexpr int64_t kLargestBlock = 1024;  // of a format that is decoded to bytes

// Whether a dot product is taken on AMX tiles. So few rows of bytes as one tile of vectors holds are
// not: integers come out the same either way.
template <class Dot>
bool in_tiles(int count) {
#if defined(MOE_AMX)
  using Element = typename Dot::Element;
  return sizeof(Element) == 2 || (sizeof(Element) == 1 && count > kTileRows);
#else
  return false;
#endif
}

// Up to kRowBlock rows, from `first` on of `index` or of the rows themselves.
template <class Dot>
struct Operands {
  using Element = typename Dot::Element;
  const Element* rows[kRowBlock];
  const int32_t* sums[kRowBlock];
  int count;
#if defined(MOE_AMX)
  Gathered tiles;
#endif

  Operands(const Matrix& m, const Rows& from, const int32_t* index, int64_t first, int n)
      : count(pointed(from, index, first, n))
#if defined(MOE_AMX)
        , tiles(reinterpret_cast<const uint8_t* const*>(rows), in_tiles<Dot>(n) ? n : 0, m.wide * sizeof(Element),
                m.block * sizeof(Element))
#endif
  {}

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

// `sums` (rows, 64) gets the rows' products with the panel; column scales are applied, row scales not.
// `more`: the same rows take the next panel, too.
template <class F>
void multiply(const Matrix& m, int64_t expert, int64_t p, [[maybe_unused]] bool more,
              const Operands<typename F::Dot>& a, float* sums) {
  using Dot = typename F::Dot;
  using Element = typename Dot::Element;
  alignas(64) uint8_t decoded[F::decodes ? kLargestBlock * kPanel : 64];
  const uint8_t* panel = m.panel(expert, p);
  const int64_t scale_at = (expert * m.n_panels + p) * m.groups * kPanel;
  const float* scales = F::scaled ? static_cast<const float*>(m.scales) + scale_at : nullptr;
  const uint8_t* exponents = m.scales ? static_cast<const uint8_t*>(m.scales) + scale_at : nullptr;
  const int tiles = (a.count + kTileRows - 1) / kTileRows;
  for (int64_t k = 0, block = 0; k < m.wide; k += m.block, ++block) {
    const int64_t deep = std::min(m.block, m.wide - k);
    const uint8_t* codes = panel + F::bytes(k);
    const float* scale = F::scaled ? scales + (F::scaled_by_block ? block * kPanel : 0) : nullptr;
    if constexpr (!std::is_void_v<typename F::FewDot>) {
      if (tiles == 1) {
        const Element* shifted[kTileRows];
        for (int r = 0; r < a.count; ++r) shifted[r] = a.rows[r] + k;
        kTiles<typename F::FewDot, Element>[a.count - 1](shifted, codes, deep, sums, scale, block == 0, a.sums,
                                                         block, F::zero);
        continue;
      }
    }
    const uint8_t* b = F::decode(codes, exponents + k / 32 * kPanel, deep, decoded);
#if defined(MOE_AMX)
    if (in_tiles<Dot>(a.count)) {
      const bool follows = !F::decodes && (more || k + m.block < m.wide);
      apply_tiles<sizeof(Element) == 1>(a.tiles, a.count, b, deep * kPanel * int(sizeof(Element)), follows, sums,
                                        scale, block == 0, a.sums, block, F::zero);
      continue;
    }
#endif
    for (int t = 0, row = 0; t < tiles; ++t) {
      const int rows = (a.count - row + tiles - t - 1) / (tiles - t);  // tiles of nearly equal height
      const Element* shifted[kTileRows];
      for (int r = 0; r < rows; ++r) shifted[r] = a.rows[row + r] + k;
      kTiles<Dot, Element>[rows - 1](shifted, b, deep, sums + row * kPanel, scale, block == 0, a.sums + row, block,
                            F::zero);
      row += rows;
    }
  }
}

}  // namespace
}  // namespace moe
