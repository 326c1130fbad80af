// Sixteen lanes in one AVX-512 register; with BF16 and VNNI where the translation unit has them.
#pragma once
#include <immintrin.h>
#include <cstdint>
#include <cstring>

namespace moe {
namespace {

#if defined(__AVX512BF16__)
constexpr int kColumns = 4;  // vectors of a register tile
#else
constexpr int kColumns = 2;  // widened pairs take registers, too
#endif

struct F32 { __m512 v; };
struct I32 { __m512i v; };
struct Bytes { __m512i v; };
struct Pairs { __m512i v; };

inline F32 set(float x) { return {_mm512_set1_ps(x)}; }
inline F32 load(const float* p) { return {_mm512_loadu_ps(p)}; }
inline void store(float* p, F32 a) { _mm512_storeu_ps(p, a.v); }
inline F32 add(F32 a, F32 b) { return {_mm512_add_ps(a.v, b.v)}; }
inline F32 sub(F32 a, F32 b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline F32 mul(F32 a, F32 b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline F32 div(F32 a, F32 b) { return {_mm512_div_ps(a.v, b.v)}; }
inline F32 fma(F32 a, F32 b, F32 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
// Of what is finite and at least 1; within a unit of the last place, in half of a division's time.
inline F32 reciprocal(F32 a) {
  const __m512 r = _mm512_rcp14_ps(a.v);
  return {_mm512_fmadd_ps(_mm512_fnmadd_ps(a.v, r, _mm512_set1_ps(1.0f)), r, r)};
}
inline F32 min(F32 a, F32 b) { return {_mm512_min_ps(a.v, b.v)}; }
inline F32 max(F32 a, F32 b) { return {_mm512_max_ps(a.v, b.v)}; }
inline F32 absolute(F32 a) { return {_mm512_abs_ps(a.v)}; }
inline F32 with_sign(F32 a, F32 s) {
  const __m512i sign = _mm512_set1_epi32(int(0x80000000));
  return {_mm512_castsi512_ps(_mm512_ternarylogic_epi32(  // sign ? s : a, bit by bit
      sign, _mm512_castps_si512(s.v), _mm512_castps_si512(a.v), 0xca))};
}

inline I32 iset(int32_t x) { return {_mm512_set1_epi32(x)}; }
inline I32 minus(const int32_t* p, int32_t x) {
  return {_mm512_sub_epi32(_mm512_loadu_si512(p), _mm512_set1_epi32(x))};
}
inline F32 to_float(I32 a) { return {_mm512_cvtepi32_ps(a.v)}; }
inline I32 rounded(F32 a) { return {_mm512_cvtps_epi32(a.v)}; }
inline I32 plus(I32 a, I32 b) { return {_mm512_add_epi32(a.v, b.v)}; }
inline F32 nearest(F32 a) { return {_mm512_roundscale_ps(a.v, 8)}; }
inline F32 times_two_to(F32 n, F32 a) { return {_mm512_scalef_ps(a.v, n.v)}; }
inline void store_bytes(int8_t* p, I32 a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(a.v));
}
inline int32_t sum(I32 a) { return _mm512_reduce_add_epi32(a.v); }
inline float largest(F32 a) { return _mm512_reduce_max_ps(a.v); }

inline F32 load_bf16(const uint16_t* p) {
  const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16))};
}
inline float from_bf16(uint16_t x) { uint32_t b = uint32_t(x) << 16; float f; std::memcpy(&f, &b, 4); return f; }
inline void store_bf16(uint16_t* p, F32 a) {
#if defined(__AVX512BF16__)  // in one step; what is below 1.2e-38 becomes zero
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), (__m256i)_mm512_cvtneps_pbh(a.v));
#else
  const __m512i bits = _mm512_castps_si512(a.v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  __m512i up = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  const __mmask16 nan = _mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q);
  up = _mm512_mask_set1_epi32(up, nan, 0x7fc00000);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(_mm512_srli_epi32(up, 16)));
#endif
}

inline Pairs load_pairs(const uint16_t* p) { return {_mm512_loadu_si512(p)}; }
inline F32 first_of(Pairs a) { return {_mm512_castsi512_ps(_mm512_slli_epi32(a.v, 16))}; }
inline F32 second_of(Pairs a) {
  return {_mm512_castsi512_ps(_mm512_and_si512(a.v, _mm512_set1_epi32(int(0xffff0000))))};
}
inline Pairs spread_pair(const uint16_t* p) {
  int32_t pair;
  std::memcpy(&pair, p, 4);
  return {_mm512_set1_epi32(pair)};
}
inline F32 dot(F32 sum, Pairs a, Pairs b) {
#if defined(__AVX512BF16__)
  return {_mm512_dpbf16_ps(sum.v, (__m512bh)a.v, (__m512bh)b.v)};
#else
  return fma(second_of(a), second_of(b), fma(first_of(a), first_of(b), sum));
#endif
}

inline Bytes load_bytes(const void* p) { return {_mm512_loadu_si512(p)}; }
inline Bytes spread_quad(const void* p) {
  int32_t quad;
  std::memcpy(&quad, p, 4);
  return {_mm512_set1_epi32(quad)};
}
inline Bytes low_nibbles(Bytes a) { return {_mm512_and_si512(a.v, _mm512_set1_epi8(15))}; }
inline Bytes high_nibbles(Bytes a) {
  return {_mm512_and_si512(_mm512_srli_epi16(a.v, 4), _mm512_set1_epi8(15))};
}
inline I32 dot(I32 sum, Bytes u, Bytes s) {
#if defined(__AVX512VNNI__)
  // With the intrinsic GCC 12 moves each of 24 sums through the stack: 1.55 times as slow.
  asm("vpdpbusd %2, %1, %0" : "+v"(sum.v) : "v"(u.v), "v"(s.v));
  return sum;
#else  // Not vpmaddubsw: a sum of two products of 255 by 127 would saturate.
  const __m512i even = _mm512_madd_epi16(_mm512_and_si512(u.v, _mm512_set1_epi16(255)),
                                         _mm512_srai_epi16(_mm512_slli_epi16(s.v, 8), 8));
  const __m512i odd = _mm512_madd_epi16(_mm512_srli_epi16(u.v, 8), _mm512_srai_epi16(s.v, 8));
  return {_mm512_add_epi32(sum.v, _mm512_add_epi32(even, odd))};
#endif
}

}  // namespace
}  // namespace moe
