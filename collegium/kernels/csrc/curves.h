// Activation functions on sixteen lanes. NaN stays NaN: min and max return their second operand then.
#pragma once
#include "problem.h"

namespace moe {
namespace {

// Cephes' expf: 2^n times a polynomial of degree 6 on half an octave; within 2 units of the last place.
inline F32 exponential(F32 x) {
  x = min(set(88.7f), max(set(-87.3f), x));
  const F32 n = nearest(mul(x, set(1.44269504088896341f)));
  F32 r = fma(n, set(-0.693359375f), x);
  r = fma(n, set(2.12194440e-4f), r);
  F32 p = set(1.9875691500e-4f);
  p = fma(p, r, set(1.3981999507e-3f));
  p = fma(p, r, set(8.3334519073e-3f));
  p = fma(p, r, set(4.1665795894e-2f));
  p = fma(p, r, set(1.6666665459e-1f));
  p = fma(p, r, set(5.0000001201e-1f));
  p = fma(mul(r, r), p, add(r, set(1.0f)));
  return times_two_to(n, p);
}

inline F32 sigmoid(F32 x) { return reciprocal(add(set(1.0f), exponential(sub(set(0.0f), x)))); }

// Abramowitz and Stegun 7.1.26: absolute error below 1.5e-7.
inline F32 error_function(F32 x) {
  const F32 a = absolute(x);
  const F32 t = div(set(1.0f), fma(a, set(0.3275911f), set(1.0f)));
  F32 p = set(1.061405429f);
  p = fma(p, t, set(-1.453152027f));
  p = fma(p, t, set(1.421413741f));
  p = fma(p, t, set(-0.284496736f));
  p = mul(fma(p, t, set(0.254829592f)), t);
  const F32 e = exponential(sub(set(0.0f), mul(a, a)));
  return with_sign(sub(set(1.0f), mul(p, e)), x);
}

inline F32 curve(F32 x, Activation activation) {
  switch (activation) {
    case Activation::silu:
      return mul(x, sigmoid(x));
    case Activation::gelu: {
      const F32 half = mul(x, set(0.5f));
      return fma(half, error_function(mul(x, set(0.70710678118f))), half);
    }
    case Activation::gelu_tanh: {  // 0.5 (1 + tanh(z)) = sigmoid(2 z)
      const F32 z = mul(x, fma(mul(x, x), set(0.044715f * 0.7978845608f), set(0.7978845608f)));
      return mul(x, sigmoid(add(z, z)));
    }
    default: {
      const F32 positive = max(set(0.0f), x);
      return mul(positive, positive);
    }
  }
}

inline F32 gated_curve(F32 gate, F32 up, Activation activation) {
  if (activation != Activation::swigluoai) return mul(curve(gate, activation), up);
  gate = min(set(7.0f), gate);
  up = min(set(7.0f), max(set(-7.0f), up));
  return mul(add(up, set(1.0f)), mul(gate, sigmoid(mul(gate, set(1.702f)))));
}

}  // namespace
}  // namespace moe
