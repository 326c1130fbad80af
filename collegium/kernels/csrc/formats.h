// What is particular to each format: its dot product, how a block is decoded, where its scales are.
#pragma once
#include "decode.h"
#include "tile.h"

namespace moe {
namespace {

struct Plain {
  using FewDot = void;
  static constexpr int zero = 0;
  static constexpr bool decodes = false, scaled_by_block = false, scaled = false;
  static constexpr bool whole = false;  // on tiles all of K is one block
  static const uint8_t* decode(const uint8_t* from, const uint8_t*, int64_t, uint8_t*) { return from; }
};

struct Fp32 : Plain {
  using Dot = FloatDot;
  static int64_t bytes(int64_t k) { return k * kPanel * 4; }
};

struct Bf16 : Plain {
  using Dot = PairDot;
  static constexpr bool whole = true;
  static int64_t bytes(int64_t k) { return k * kPanel * 2; }
};

struct Int8 : Plain {
  using Dot = ByteDot;
  static constexpr int zero = 128;
  static constexpr bool scaled = true;  // once a column
  static int64_t bytes(int64_t k) { return k * kPanel; }
};

struct Int4 {
  using Dot = ByteDot;
  using FewDot = NibbleDot;  // of at most one tile of rows, from the codes themselves
  static constexpr int zero = 8;
  static constexpr bool decodes = true, scaled_by_block = true, scaled = true, whole = false;
  static int64_t bytes(int64_t k) { return k * kPanel / 2; }
  static const uint8_t* decode(const uint8_t* from, const uint8_t*, int64_t k, uint8_t* to) {
    decode_int4(from, k, to);
    return to;
  }
};

struct Fp8 {
  using FewDot = void;
  using Dot = PairDot;
  static constexpr int zero = 0;
  static constexpr bool decodes = true, scaled_by_block = true, scaled = true, whole = false;
  static int64_t bytes(int64_t k) { return k * kPanel; }
  static const uint8_t* decode(const uint8_t* from, const uint8_t*, int64_t k, uint8_t* to) {
    decode_fp8(from, k, reinterpret_cast<uint16_t*>(to));
    return to;
  }
};

struct Mxfp4 {
  using FewDot = void;
  using Dot = PairDot;
  static constexpr int zero = 0;
  static constexpr bool decodes = true, scaled_by_block = false, scaled = false, whole = false;
  static int64_t bytes(int64_t k) { return k * kPanel / 2; }
  static const uint8_t* decode(const uint8_t* from, const uint8_t* exponents, int64_t k, uint8_t* to) {
    decode_mxfp4(from, exponents, k, reinterpret_cast<uint16_t*>(to));
    return to;
  }
};

}  // namespace
}  // namespace moe
