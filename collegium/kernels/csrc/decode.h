// Codes of a block of K to what the dot products take: bytes for int4, bfloat16 for fp8 and mxfp4.
#pragma once
#include <cstdint>
#include <cstring>
#include "problem.h"

namespace moe {
namespace {

// 64 columns of K / 8 pairs of quads, the first quad in the low nibbles.
inline void decode_int4(const uint8_t* from, int64_t k, uint8_t* to) {
  for (int64_t q = 0; q < k / 8; ++q, from += 256, to += 512) {
#if defined(__AVX512F__)
    const __m512i low = _mm512_set1_epi8(15);
    for (int i = 0; i < 256; i += 64) {
      const __m512i codes = _mm512_loadu_si512(from + i);
      _mm512_storeu_si512(to + i, _mm512_and_si512(codes, low));
      _mm512_storeu_si512(to + 256 + i, _mm512_and_si512(_mm512_srli_epi16(codes, 4), low));
    }
#else
    for (int i = 0; i < 256; ++i) to[i] = from[i] & 15, to[256 + i] = from[i] >> 4;
#endif
  }
}

// e4m3 without its sign to bfloat16, which holds it exactly; 0x7f is NaN.
constexpr uint16_t wider_fp8(int code) {
  const int exponent = code >> 3, mantissa = code & 7;
  if (code == 0) return 0;
  if (code == 0x7f) return 0x7fc0;
  if (exponent > 0) return uint16_t((exponent + 120) << 7 | mantissa << 4);
  int shift = 0;  // subnormal: mantissa * 2^-9
  while (!(mantissa << shift & 8)) ++shift;
  return uint16_t((121 - shift) << 7 | ((mantissa << shift & 7) << 4));
}

struct Fp8Table {
  alignas(64) uint8_t high[128] = {}, low[128] = {};
  constexpr Fp8Table() {
    for (int i = 0; i < 128; ++i) high[i] = uint8_t(wider_fp8(i) >> 8), low[i] = uint8_t(wider_fp8(i));
  }
};
constexpr Fp8Table fp8_table;  // made by the compiler: nothing of this file may run at load time

// Byte lane * 16 + vector * 8 + j of 64 is word lane * 8 + j of that vector (see layout.py).
inline void decode_fp8(const uint8_t* from, int64_t k, uint16_t* to) {
#if defined(__AVX512VBMI__)
  const __m512i high0 = _mm512_load_si512(fp8_table.high), high1 = _mm512_load_si512(fp8_table.high + 64);
  const __m512i low0 = _mm512_load_si512(fp8_table.low), low1 = _mm512_load_si512(fp8_table.low + 64);
  const __m512i sign = _mm512_set1_epi8(char(0x80));
  for (int64_t i = 0; i < k; ++i, from += 64, to += 64) {
    const __m512i codes = _mm512_loadu_si512(from);
    const __m512i low = _mm512_permutex2var_epi8(low0, codes, low1);
    __m512i high = _mm512_permutex2var_epi8(high0, codes, high1);
    high = _mm512_ternarylogic_epi32(high, codes, sign, 0xf8);  // high | (codes & sign)
    _mm512_storeu_si512(to, _mm512_unpacklo_epi8(low, high));
    _mm512_storeu_si512(to + 32, _mm512_unpackhi_epi8(low, high));
  }
#else
  for (int64_t i = 0; i < k; ++i, from += 64, to += 64)
    for (int b = 0; b < 64; ++b) {
      const int code = from[b] & 0x7f;
      const int word = (b >> 3 & 1) * 32 + (b >> 4) * 8 + (b & 7);
      to[word] = uint16_t((fp8_table.high[code] | (from[b] & 0x80)) << 8 | fp8_table.low[code]);
    }
#endif
}

// e2m1 as the two bytes of a bfloat16.
alignas(16) constexpr uint8_t kFp4High[16] = {0,    0x3f, 0x3f, 0x3f, 0x40, 0x40, 0x40, 0x40,
                                              0x80, 0xbf, 0xbf, 0xbf, 0xc0, 0xc0, 0xc0, 0xc0};
alignas(16) constexpr uint8_t kFp4Low[16] = {0, 0x00, 0x80, 0xc0, 0x00, 0x40, 0x80, 0xc0,
                                             0, 0x00, 0x80, 0xc0, 0x00, 0x40, 0x80, 0xc0};

#if defined(__AVX512BW__)
// Multiply by a power of two: add to the exponents of all words but zeros.
inline __m512i scaled_words(__m512i words, __m512i exponents) {
  const __mmask32 some = _mm512_test_epi16_mask(words, _mm512_set1_epi16(0x7fff));
  return _mm512_mask_add_epi16(words, some, words, exponents);
}
#endif

// `exponents` are 64 a group of 32 K, biased by 127; they go into the bfloat16 exactly.
inline void decode_mxfp4(const uint8_t* from, const uint8_t* exponents, int64_t k, uint16_t* to) {
#if defined(__AVX512BW__)
  const __m512i high_table = _mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(kFp4High)));
  const __m512i low_table = _mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(kFp4Low)));
  const __m512i nibble = _mm512_set1_epi8(15);
  for (int64_t group = 0; group < k; group += 32, exponents += kPanel) {
    __m512i shift[4];
    for (int c = 0; c < 4; ++c) {
      const __m128i e = _mm_loadu_si128(reinterpret_cast<const __m128i*>(exponents + 16 * c));
      const __m512i wide = _mm512_slli_epi32(_mm512_sub_epi32(_mm512_cvtepu8_epi32(e), _mm512_set1_epi32(127)), 7);
      shift[c] = _mm512_or_si512(_mm512_and_si512(wide, _mm512_set1_epi32(0xffff)), _mm512_slli_epi32(wide, 16));
    }
    for (int64_t pair = 0; pair < 16; ++pair, from += 64, to += 128) {
      const __m512i codes = _mm512_loadu_si512(from);
      for (int half = 0; half < 2; ++half) {
        const __m512i index = _mm512_and_si512(half ? _mm512_srli_epi16(codes, 4) : codes, nibble);
        const __m512i high = _mm512_shuffle_epi8(high_table, index), low = _mm512_shuffle_epi8(low_table, index);
        _mm512_storeu_si512(to + 64 * half, scaled_words(_mm512_unpacklo_epi8(low, high), shift[2 * half]));
        _mm512_storeu_si512(to + 64 * half + 32, scaled_words(_mm512_unpackhi_epi8(low, high), shift[2 * half + 1]));
      }
    }
  }
#else
  for (int64_t pair = 0; pair < k / 2; ++pair, from += 64, to += 128)
    for (int b = 0; b < 128; ++b) {
      const int half = b >> 6, byte = b & 63;
      const int code = half ? from[byte] >> 4 : from[byte] & 15;
      const int word = half * 64 + (byte >> 3 & 1) * 32 + (byte >> 4) * 8 + (byte & 7);
      const uint16_t value = uint16_t(kFp4High[code] << 8 | kFp4Low[code]);
      const int exponent = exponents[pair / 16 * kPanel + word / 2] - 127;
      to[word] = value & 0x7fff ? uint16_t(value + exponent * 128) : value;
    }
#endif
}

}  // namespace
}  // namespace moe
