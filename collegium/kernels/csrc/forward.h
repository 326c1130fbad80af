// One call from beginning to end: sort, convert, up, quantise, down.
#pragma once
#include <cstring>
#include <vector>
#include "grouping.h"
#include "schedule.h"

namespace moe {

inline int64_t divided(int64_t n, int64_t by) { return (n + by - 1) / by; }
inline int64_t up_to(int64_t n, int64_t multiple) { return divided(n, multiple) * multiple; }

// Rows in the type of the format: as they are, converted, or quantised.
class Converted {
 public:
  Converted(const Kernels& isa, const Matrix& m, Format format, const void* from, bool float_from,
            int64_t rows, int64_t n, int64_t stride)
      : rows_(rows), blocks_((m.wide + m.block - 1) / m.block), stride_(up_to(m.wide, 16)),
        direct_(!is_integer(format) && float_from == (format == Format::fp32) && stride >= m.wide &&
                (stride > n || n == m.wide)),
        readable_(is_integer(format) && !float_from && n % 16 == 0),
        plain_(direct_ || readable_ ? 0 : rows * stride_ * (format == Format::fp32 ? 4 : 2)),
        codes_(is_integer(format) ? rows * stride_ : 0), scales_(is_integer(format) ? rows : 0),
        sums_(is_integer(format) ? rows * blocks_ : 0) {
    if (direct_) {
      result_ = {from, stride, nullptr, nullptr, blocks_};
      return;
    }
    const int64_t size = format == Format::fp32 ? 4 : 2, from_size = float_from ? 4 : 2;
    for_tasks((rows + kRows - 1) / kRows, [&](int64_t task) {
      for (int64_t r = task * kRows; r < std::min(rows, (task + 1) * kRows); ++r) {
        const char* row = static_cast<const char*>(from) + r * stride * from_size;
        if (!readable_) {
          char* to = plain_.get() + r * stride_ * size;
          isa.convert(row, float_from, n, stride_, to, format == Format::fp32);
          row = to;
        }
        if (is_integer(format))
          isa.quantise(reinterpret_cast<const uint16_t*>(row), std::min(up_to(n, 16), stride_), stride_, m.block,
                       codes_.get() + r * stride_, scales_.get() + r, sums_.get() + r * blocks_);
      }
    });
    if (is_integer(format)) result_ = {codes_.get(), stride_, scales_.get(), sums_.get(), blocks_};
    else result_ = {plain_.get(), stride_, nullptr, nullptr, blocks_};
  }
  const Rows& rows() const { return result_; }

 private:
  static constexpr int64_t kRows = 16;  // of a task
  int64_t rows_, blocks_, stride_;
  bool direct_, readable_;  // taken as they are; quantised from where they are
  Scratch<char> plain_;
  Scratch<int8_t> codes_;
  Scratch<float> scales_;
  Scratch<int32_t> sums_;
  Rows result_;
};

// Zeros from column `made` on: the second product reads them.
inline void clear_behind(const Problem& p, int64_t made, int64_t size) {
  char* inner = static_cast<char*>(p.inner);
  for (int64_t i = 0; made < p.inner_stride && i < p.n_groups; ++i)
    for (int64_t row = 0; row < p.groups[i].count; ++row)
      for (int64_t column = made; column < p.inner_stride; column += 16)
        std::memset(inner + inner_at(p, p.groups[i], row, column, size), 0, 16 * size);
}

// An expert's panels are split only as far as all threads get work: each part gathers its rows anew.
inline void run_up(const Kernels& isa, const Problem& p) {
  const int64_t wanted = threads() > 1 ? 4 * threads() : 1;
  const int64_t split = std::clamp<int64_t>(divided(wanted, std::max<int64_t>(p.n_groups, 1)), 1, p.up.n_panels);
  const int64_t chunk = divided(p.up.n_panels, split), chunks = divided(p.up.n_panels, chunk);
  for_tasks(p.n_groups * chunks, [&](int64_t task) {
    const int64_t first = task % chunks * chunk;
    isa.up(p, {task / chunks, first, std::min(first + chunk, p.up.n_panels)});
  });
}

// Where parts of `n` panels begin, and the end: large parts first, small ones to level threads at the end
// (guided self-scheduling: Polychronopoulos and Kuck, IEEE Transactions on Computers, 1987).
inline std::vector<int64_t> guided(int64_t n) {
  const int64_t share = threads() > 1 ? 2 * threads() : 1;
  std::vector<int64_t> bounds{0};
  while (bounds.back() < n) bounds.push_back(bounds.back() + divided(n - bounds.back(), share));
  return bounds;
}

// Each part of the columns reads all rows of `h`, so parts are large: on one thread parts of two panels took
// 256 tokens of the pool's mixture 6 % longer, parts of four those of the goals' layer 3 %.
inline void run_down(const Kernels& isa, const Problem& p) {
  const std::vector<int64_t> bounds = guided(p.down.n_panels);
  for_tasks(int64_t(bounds.size()) - 1, [&](int64_t task) { isa.down(p, bounds[task], bounds[task + 1]); });
}

// `p` has the weights, the source and the output; the rest is made here.
inline void forward(const Kernels& isa, Problem p, const Grouping& sorted) {
  const int64_t slots = int64_t(sorted.token.size());
  p.groups = sorted.groups.data();
  p.n_groups = int64_t(sorted.groups.size());
  p.token = sorted.token.data();
  p.weight = sorted.weight.data();
  const Converted x(isa, p.up, p.format, p.source, p.float_source, slots ? p.tokens : 0, p.hidden, p.hidden);
  p.x = x.rows();
  const int64_t made = p.up.n_panels * (p.gated ? kHalf : kPanel), size = p.format == Format::fp32 ? 4 : 2;
  p.tiled = isa.tiles && !is_integer(p.format) && p.format != Format::fp32;
  p.inner_stride = std::max(made, up_to(p.down.wide, p.tiled ? kLine / size : 16));
  const Scratch<char> inner((p.tiled ? sorted.tiled : slots) * p.inner_stride * size);
  p.inner = inner.get();
  clear_behind(p, made, size);
  run_up(isa, p);
  const Converted h(isa, p.down, p.format, p.inner, p.format == Format::fp32, p.tiled ? 0 : slots, p.inner_stride,
                    p.inner_stride);
  p.h = p.tiled ? Rows{p.inner, p.inner_stride, nullptr, nullptr, 0} : h.rows();
  const Scratch<float> sums(p.tokens * p.down.n_panels * kPanel);
  p.sums = sums.get();
  run_down(isa, p);
}

}  // namespace moe
