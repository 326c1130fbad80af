// Sixteen lanes in plain C++: for any processor, and for reading what the other vec_*.h do.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

namespace moe {
namespace {

constexpr int kColumns = 1;  // vectors of a register tile

struct F32 { float v[16]; };
struct I32 { int32_t v[16]; };
struct Bytes { uint8_t v[64]; };
struct Pairs { uint16_t v[32]; };

#define EACH_LANE for (int i = 0; i < 16; ++i)

inline F32 set(float x) { F32 r; EACH_LANE r.v[i] = x; return r; }
inline F32 load(const float* p) { F32 r; std::memcpy(r.v, p, sizeof r.v); return r; }
inline void store(float* p, F32 a) { std::memcpy(p, a.v, sizeof a.v); }
inline F32 add(F32 a, F32 b) { EACH_LANE a.v[i] += b.v[i]; return a; }
inline F32 sub(F32 a, F32 b) { EACH_LANE a.v[i] -= b.v[i]; return a; }
inline F32 mul(F32 a, F32 b) { EACH_LANE a.v[i] *= b.v[i]; return a; }
inline F32 div(F32 a, F32 b) { EACH_LANE a.v[i] /= b.v[i]; return a; }
inline F32 reciprocal(F32 a) { EACH_LANE a.v[i] = 1.0f / a.v[i]; return a; }
inline F32 fma(F32 a, F32 b, F32 c) { EACH_LANE c.v[i] += a.v[i] * b.v[i]; return c; }
inline F32 min(F32 a, F32 b) { EACH_LANE a.v[i] = a.v[i] < b.v[i] ? a.v[i] : b.v[i]; return a; }
inline F32 max(F32 a, F32 b) { EACH_LANE a.v[i] = a.v[i] > b.v[i] ? a.v[i] : b.v[i]; return a; }
inline F32 absolute(F32 a) { EACH_LANE a.v[i] = std::fabs(a.v[i]); return a; }
inline F32 with_sign(F32 a, F32 sign) { EACH_LANE a.v[i] = std::copysign(a.v[i], sign.v[i]); return a; }

inline I32 iset(int32_t x) { I32 r; EACH_LANE r.v[i] = x; return r; }
inline F32 to_float(I32 a) { F32 r; EACH_LANE r.v[i] = float(a.v[i]); return r; }
inline I32 rounded(F32 a) {
  I32 r;
  EACH_LANE r.v[i] = std::fabs(a.v[i]) < 2e9f ? int32_t(std::nearbyint(a.v[i])) : INT32_MIN;
  return r;
}
inline I32 plus(I32 a, I32 b) { EACH_LANE a.v[i] += b.v[i]; return a; }
inline F32 nearest(F32 a) { return to_float(rounded(a)); }
inline F32 times_two_to(F32 n, F32 a) {  // n of -126 to 128
  EACH_LANE {
    const uint32_t bits = uint32_t(int32_t(n.v[i]) + 127) << 23;
    float power;
    std::memcpy(&power, &bits, 4);
    a.v[i] *= power;
  }
  return a;
}
inline void store_bytes(int8_t* p, I32 a) { EACH_LANE p[i] = int8_t(a.v[i]); }
inline int32_t sum(I32 a) { int32_t s = 0; EACH_LANE s += a.v[i]; return s; }
inline float largest(F32 a) { float m = a.v[0]; EACH_LANE m = m > a.v[i] ? m : a.v[i]; return m; }

inline float from_bf16(uint16_t x) { uint32_t b = uint32_t(x) << 16; float f; std::memcpy(&f, &b, 4); return f; }
inline uint16_t to_bf16(float x) {
  if (x != x) return 0x7fc0;
  uint32_t b;
  std::memcpy(&b, &x, 4);
  return uint16_t((b + 0x7fff + ((b >> 16) & 1)) >> 16);
}
inline F32 load_bf16(const uint16_t* p) { F32 r; EACH_LANE r.v[i] = from_bf16(p[i]); return r; }
inline void store_bf16(uint16_t* p, F32 a) { EACH_LANE p[i] = to_bf16(a.v[i]); }

inline Pairs load_pairs(const uint16_t* p) { Pairs r; std::memcpy(r.v, p, sizeof r.v); return r; }
inline F32 first_of(Pairs a) { F32 r; EACH_LANE r.v[i] = from_bf16(a.v[2 * i]); return r; }
inline F32 second_of(Pairs a) { F32 r; EACH_LANE r.v[i] = from_bf16(a.v[2 * i + 1]); return r; }

inline Pairs spread_pair(const uint16_t* p) {
  Pairs r;
  EACH_LANE std::memcpy(r.v + 2 * i, p, 4);
  return r;
}
inline F32 dot(F32 sum, Pairs a, Pairs b) {
  return fma(second_of(a), second_of(b), fma(first_of(a), first_of(b), sum));
}

inline Bytes load_bytes(const void* p) { Bytes r; std::memcpy(r.v, p, sizeof r.v); return r; }
inline Bytes spread_quad(const void* p) {
  Bytes r;
  EACH_LANE std::memcpy(r.v + 4 * i, p, 4);
  return r;
}
inline Bytes low_nibbles(Bytes a) {
  for (uint8_t& byte : a.v) byte &= 15;
  return a;
}
inline Bytes high_nibbles(Bytes a) {
  for (uint8_t& byte : a.v) byte >>= 4;
  return a;
}
inline I32 dot(I32 sum, Bytes u, Bytes s) {
  EACH_LANE for (int j = 0; j < 4; ++j) sum.v[i] += int32_t(u.v[4 * i + j]) * int8_t(s.v[4 * i + j]);
  return sum;
}

#undef EACH_LANE

}  // namespace
}  // namespace moe
