// What `amx.h` provides, where there are no tiles: nothing, with the same names.
#pragma once
#include <cstddef>
#include "problem.h"

namespace moe {
namespace {

constexpr bool kTiled = false;
constexpr int kMostRows = kRowBlock;

inline int64_t l2_bytes() { return 0; }

template <int which>
uint8_t* buffer(size_t) { return nullptr; }

struct Gathered {
  template <class... Any>
  explicit Gathered(const Any&...) {}
};

struct Ahead {
  Ahead(const uint8_t*, int64_t, int64_t) {}
};

template <bool integer, class... Any>
void apply_tiles(const Any&...) {}

}  // namespace
}  // namespace moe
