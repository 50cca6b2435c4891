// Eight float or integer lanes: the only place that knows vector instructions, besides the integer dot products.
//
// Every kernel is written once over these types and compiled once per instruction set. The portable version does lane
// by lane exactly what the vector versions do (fused multiply-add included), so their results are equal to the bit.
// Everything is in an unnamed namespace: each instruction set's translation unit has its own copy.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "formats/half.h"

namespace gadfly {
namespace {

constexpr size_t kLanes = 8;

struct LowNibble {};  // tags that select a part of a byte
struct HighNibble {};

struct PairSums {  // of lanes 0, 1, 4, 5 and of lanes 2, 3, 6, 7
    int32_t even, odd;
};

}  // namespace
}  // namespace gadfly

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#define GADFLY_AVX2 1
#define GADFLY_VECTORS 1
#include "kernels/simd_avx2.h"
#elif defined(GADFLY_NEON)
#define GADFLY_VECTORS 1
#include "kernels/simd_neon.h"
#else
#include "kernels/simd_portable.h"
#endif

namespace gadfly {
namespace {

// Lanes are summed as ((0+4)+(2+6)) + ((1+5)+(3+7)), on every instruction set.
inline float sum(f32x8 x) {
    float a[kLanes];
    store(a, x);
    return ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]));
}

inline float max_lane(f32x8 x) {
    float a[kLanes];
    store(a, x);
    float m = a[0];
    for (size_t i = 1; i < kLanes; i++) m = a[i] > m ? a[i] : m;
    return m;
}

// e^x to about 2 ulp for x in [-87, 88], and the value at the nearer end outside: Cody-Waite reduction and a degree-6
// polynomial (Cephes' coefficients). What is no number stays so: of such pairs, min and max take the second.
inline f32x8 exp(f32x8 x) {
    const f32x8 clamped = min(splat(88.0F), max(splat(-87.0F), x));
    const i32x8 n = round_to_int(mul(clamped, splat(1.44269504088896341F)));
    const f32x8 k = to_float(n);
    f32x8 r = fma(k, splat(-0.693359375F), clamped);
    r = fma(k, splat(2.12194440e-4F), r);
    f32x8 p = splat(1.9875691500e-4F);
    p = fma(p, r, splat(1.3981999507e-3F));
    p = fma(p, r, splat(8.3334519073e-3F));
    p = fma(p, r, splat(4.1665795894e-2F));
    p = fma(p, r, splat(1.6666665459e-1F));
    p = fma(p, r, splat(5.0000001201e-1F));
    p = add(fma(mul(p, r), r, r), splat(1.0F));
    return mul(p, exp2_of(n));
}

// tanh x, to about 1e-7 absolute.
inline f32x8 tanh(f32x8 x) { return sub(splat(1.0F), div(splat(2.0F), add(splat(1.0F), exp(mul(splat(2.0F), x))))); }

inline f32x8 softcapped(f32x8 x, float cap) { return mul(splat(cap), tanh(div(x, splat(cap)))); }

// ½ erfc(x / √2), the chance of more than x under a normal distribution, for x ≥ 0 and to 2e-7 absolute: e^(-x²/2)
// times a polynomial in t = 1 / (1 + 0.34 x), fitted to the least relative error up to x = 13.
inline f32x8 normal_tail(f32x8 x) {
    const f32x8 t = div(splat(1.0F), fma(x, splat(0.34F), splat(1.0F)));
    f32x8 p = splat(-0.026523441F);
    p = fma(p, t, splat(0.14139266F));
    p = fma(p, t, splat(-0.27689746F));
    p = fma(p, t, splat(0.2063087F));
    p = fma(p, t, splat(-0.047435544F));
    p = fma(p, t, splat(0.1164565F));
    p = fma(p, t, splat(0.11493304F));
    p = fma(p, t, splat(0.13614693F));
    p = fma(p, t, splat(0.13561861F));
    return mul(mul(p, t), exp(mul(mul(x, x), splat(-0.5F))));
}

}  // namespace
}  // namespace gadfly
