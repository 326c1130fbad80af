// Sixteen lanes in two AVX2 registers, bfloat16 widened to float, bytes through 16-bit products.
#pragma once
#include <immintrin.h>
#include <cstdint>
#include <cstring>

namespace moe {
namespace {

constexpr int kColumns = 1;

struct F32 { __m256 a, b; };
struct I32 { __m256i a, b; };
struct Bytes { __m256i a, b; };
struct Pairs { __m256i a, b; };

inline __m256i load256(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }

inline F32 set(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
inline F32 load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline void store(float* p, F32 x) { _mm256_storeu_ps(p, x.a); _mm256_storeu_ps(p + 8, x.b); }
inline F32 add(F32 x, F32 y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
inline F32 sub(F32 x, F32 y) { return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
inline F32 mul(F32 x, F32 y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
inline F32 div(F32 x, F32 y) { return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
inline F32 reciprocal(F32 x) { return div(set(1.0f), x); }
inline F32 fma(F32 x, F32 y, F32 z) {
  return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
inline F32 min(F32 x, F32 y) { return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)}; }
inline F32 max(F32 x, F32 y) { return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)}; }
inline F32 absolute(F32 x) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b)};
}
inline F32 with_sign(F32 x, F32 s) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_or_ps(_mm256_andnot_ps(sign, x.a), _mm256_and_ps(sign, s.a)),
          _mm256_or_ps(_mm256_andnot_ps(sign, x.b), _mm256_and_ps(sign, s.b))};
}

inline I32 iset(int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
inline F32 to_float(I32 x) { return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)}; }
inline I32 rounded(F32 x) { return {_mm256_cvtps_epi32(x.a), _mm256_cvtps_epi32(x.b)}; }
inline I32 plus(I32 x, I32 y) { return {_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)}; }
inline F32 nearest(F32 x) { return {_mm256_round_ps(x.a, 8), _mm256_round_ps(x.b, 8)}; }
inline __m256 power_of_two(__m256 n) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
}
inline F32 times_two_to(F32 n, F32 x) {  // n of -126 to 128
  return {_mm256_mul_ps(x.a, power_of_two(n.a)), _mm256_mul_ps(x.b, power_of_two(n.b))};
}
inline void store_bytes(int8_t* p, I32 x) {
  int32_t lanes[16];
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(lanes), x.a);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(lanes + 8), x.b);
  for (int i = 0; i < 16; ++i) p[i] = int8_t(lanes[i]);
}
inline int32_t sum(I32 x) {
  int32_t lanes[8], s = 0;
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(lanes), _mm256_add_epi32(x.a, x.b));
  for (int i = 0; i < 8; ++i) s += lanes[i];
  return s;
}
inline float largest(F32 x) {
  float lanes[16];
  store(lanes, x);
  float m = lanes[0];
  for (int i = 1; i < 16; ++i) m = m > lanes[i] ? m : lanes[i];
  return m;
}

inline __m256 widened(const uint16_t* p) {
  const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}
inline F32 load_bf16(const uint16_t* p) { return {widened(p), widened(p + 8)}; }
inline float from_bf16(uint16_t x) { uint32_t b = uint32_t(x) << 16; float f; std::memcpy(&f, &b, 4); return f; }
inline uint16_t to_bf16(float x) {
  if (x != x) return 0x7fc0;
  uint32_t b;
  std::memcpy(&b, &x, 4);
  return uint16_t((b + 0x7fff + ((b >> 16) & 1)) >> 16);
}
inline void store_bf16(uint16_t* p, F32 x) {
  float lanes[16];
  store(lanes, x);
  for (int i = 0; i < 16; ++i) p[i] = to_bf16(lanes[i]);
}

inline Pairs load_pairs(const uint16_t* p) { return {load256(p), load256(p + 16)}; }
inline F32 first_of(Pairs x) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(x.a, 16)), _mm256_castsi256_ps(_mm256_slli_epi32(x.b, 16))};
}
inline F32 second_of(Pairs x) {
  const __m256i high = _mm256_set1_epi32(int(0xffff0000));
  return {_mm256_castsi256_ps(_mm256_and_si256(x.a, high)), _mm256_castsi256_ps(_mm256_and_si256(x.b, high))};
}

inline Pairs spread_pair(const uint16_t* p) {
  int32_t pair;
  std::memcpy(&pair, p, 4);
  return {_mm256_set1_epi32(pair), _mm256_set1_epi32(pair)};
}
inline F32 dot(F32 sum, Pairs a, Pairs b) {
  return fma(second_of(a), second_of(b), fma(first_of(a), first_of(b), sum));
}

inline Bytes load_bytes(const void* p) { return {load256(p), load256(static_cast<const char*>(p) + 32)}; }
inline Bytes spread_quad(const void* p) {
  int32_t quad;
  std::memcpy(&quad, p, 4);
  return {_mm256_set1_epi32(quad), _mm256_set1_epi32(quad)};
}
inline __m256i low_nibbles(__m256i a) { return _mm256_and_si256(a, _mm256_set1_epi8(15)); }
inline Bytes low_nibbles(Bytes a) { return {low_nibbles(a.a), low_nibbles(a.b)}; }
inline Bytes high_nibbles(Bytes a) {
  return {low_nibbles(_mm256_srli_epi16(a.a, 4)), low_nibbles(_mm256_srli_epi16(a.b, 4))};
}
// Not vpmaddubsw: a sum of two products of 255 by 127 would saturate.
inline __m256i dot(__m256i sum, __m256i u, __m256i s) {
  const __m256i even = _mm256_madd_epi16(_mm256_and_si256(u, _mm256_set1_epi16(255)),
                                         _mm256_srai_epi16(_mm256_slli_epi16(s, 8), 8));
  const __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(u, 8), _mm256_srai_epi16(s, 8));
  return _mm256_add_epi32(sum, _mm256_add_epi32(even, odd));
}
inline I32 dot(I32 sum, Bytes u, Bytes s) { return {dot(sum.a, u.a, s.a), dot(sum.b, u.b, s.b)}; }

}  // namespace
}  // namespace moe
