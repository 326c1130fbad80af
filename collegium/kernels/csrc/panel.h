// Rows times one panel, for any number of rows: blocks of K, decoded once, applied in tiles of rows.
#pragma once
#include <algorithm>
#include <type_traits>
#include "formats.h"

namespace moe {
namespace {

constexpr int64_t kLargestBlock = 1024;  // of a format that is decoded to bytes

template <class Dot>
struct Operands {
  const typename Dot::Element* rows[kRowBlock];
  const int32_t* sums[kRowBlock];
  int count;
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
template <class F>
void multiply(const Matrix& m, int64_t expert, int64_t p, const Operands<typename F::Dot>& a, float* sums) {
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
