// Sixteen float lanes: a register where there are 512 bits, else twice eight. What attention is written in.
//
// Lane by lane the same everywhere, as all of simd.h.
#pragma once

#include "kernels/simd.h"

namespace gadfly {
namespace {

constexpr size_t kWide = 2 * kLanes;

#ifdef __AVX512F__

// Where a mask of ones changes nothing, it keeps GCC 12 from warning of what its own headers leave undefined.
constexpr __mmask16 kAll = 0xFFFF;

struct f32wide {
    __m512 all;
};
struct i32wide {
    __m512i all;
};

inline f32wide splat_wide(float x) { return {_mm512_set1_ps(x)}; }
inline f32wide load_wide(const float* p) { return {_mm512_loadu_ps(p)}; }
inline f32wide load_wide(const uint16_t* p) {  // half floats
    return {_mm512_maskz_cvtph_ps(kAll, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
inline f32wide load_wide(const int8_t* p) {
    const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return {_mm512_maskz_cvtepi32_ps(kAll, _mm512_maskz_cvtepi8_epi32(kAll, codes))};
}
inline void store(float* p, f32wide x) { _mm512_storeu_ps(p, x.all); }
inline f32wide add(f32wide a, f32wide b) { return {_mm512_add_ps(a.all, b.all)}; }
inline f32wide sub(f32wide a, f32wide b) { return {_mm512_sub_ps(a.all, b.all)}; }
inline f32wide mul(f32wide a, f32wide b) { return {_mm512_mul_ps(a.all, b.all)}; }
inline f32wide max(f32wide a, f32wide b) { return {_mm512_maskz_max_ps(kAll, a.all, b.all)}; }
inline f32wide fma(f32wide a, f32wide b, f32wide c) { return {_mm512_fmadd_ps(a.all, b.all, c.all)}; }
inline i32wide round_to_int(f32wide a) { return {_mm512_maskz_cvtps_epi32(kAll, a.all)}; }
inline f32wide to_float(i32wide a) { return {_mm512_maskz_cvtepi32_ps(kAll, a.all)}; }
inline f32wide exp2_of(i32wide n) {
    const __m512i biased = _mm512_add_epi32(n.all, _mm512_set1_epi32(127));
    return {_mm512_castsi512_ps(_mm512_maskz_slli_epi32(kAll, biased, 23))};
}
inline f32wide zero_where_less(f32wide a, float b, f32wide x) {
    return {_mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a.all, _mm512_set1_ps(b), _CMP_NLT_UQ), x.all)};
}
inline f32x8 low(f32wide a) { return _mm256_castpd_ps(_mm512_maskz_extractf64x4_pd(0xFF, _mm512_castps_pd(a.all), 0)); }
inline f32x8 high(f32wide a) {
    return _mm256_castpd_ps(_mm512_maskz_extractf64x4_pd(0xFF, _mm512_castps_pd(a.all), 1));
}

#else

struct f32wide {
    f32x8 low, high;
};
struct i32wide {
    i32x8 low, high;
};

inline f32wide splat_wide(float x) { return {splat(x), splat(x)}; }
inline f32wide load_wide(const float* p) { return {load(p), load(p + kLanes)}; }
inline f32wide load_wide(const uint16_t* p) { return {load(p, Half{}), load(p + kLanes, Half{})}; }  // half floats
inline f32wide load_wide(const int8_t* p) { return {load(p), load(p + kLanes)}; }
inline void store(float* p, f32wide x) {
    store(p, x.low);
    store(p + kLanes, x.high);
}
inline f32wide add(f32wide a, f32wide b) { return {add(a.low, b.low), add(a.high, b.high)}; }
inline f32wide sub(f32wide a, f32wide b) { return {sub(a.low, b.low), sub(a.high, b.high)}; }
inline f32wide mul(f32wide a, f32wide b) { return {mul(a.low, b.low), mul(a.high, b.high)}; }
inline f32wide max(f32wide a, f32wide b) { return {max(a.low, b.low), max(a.high, b.high)}; }
inline f32wide fma(f32wide a, f32wide b, f32wide c) { return {fma(a.low, b.low, c.low), fma(a.high, b.high, c.high)}; }
inline i32wide round_to_int(f32wide a) { return {round_to_int(a.low), round_to_int(a.high)}; }
inline f32wide to_float(i32wide a) { return {to_float(a.low), to_float(a.high)}; }
inline f32wide exp2_of(i32wide n) { return {exp2_of(n.low), exp2_of(n.high)}; }
inline f32wide zero_where_less(f32wide a, float b, f32wide x) {
    return {where_less(a.low, splat(b), splat(0), x.low), where_less(a.high, splat(b), splat(0), x.high)};
}
inline f32x8 low(f32wide a) { return a.low; }
inline f32x8 high(f32wide a) { return a.high; }

#endif

inline float sum(f32wide x) { return sum(add(low(x), high(x))); }
inline float max_lane(f32wide x) { return max_lane(max(low(x), high(x))); }

// 2^x to about 3 ulp for x in [-125, 127], zero below: the exponent is what x rounds to, and a polynomial of degree
// five, fitted to the least relative error, does the rest. What is no number stays so.
inline f32wide exp2(f32wide x) {
    const i32wide n = round_to_int(x);
    const f32wide r = sub(x, to_float(n));
    f32wide p = splat_wide(1.3264727e-3F);
    p = fma(p, r, splat_wide(9.671513e-3F));
    p = fma(p, r, splat_wide(5.5507336e-2F));
    p = fma(p, r, splat_wide(0.24022242F));
    p = fma(p, r, splat_wide(0.693147F));
    p = fma(p, r, splat_wide(1.0F));
    return zero_where_less(x, -125.0F, mul(p, exp2_of(n)));
}

}  // namespace
}  // namespace gadfly
