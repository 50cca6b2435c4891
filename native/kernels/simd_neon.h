// Eight lanes in two vectors of NEON: see kernels/simd.h, which includes this.
//
// Rounding to nearest even and subnormal numbers are what a program starts with. Conversions to integers saturate here,
// whereas elsewhere what does not fit becomes INT32_MIN: that takes a comparison or two.
#pragma once

#include <arm_neon.h>

namespace gadfly {
namespace {

struct f32x8 {
    float32x4_t low, high;
};
struct i32x8 {
    int32x4_t low, high;
};

inline f32x8 splat(float x) { return {vdupq_n_f32(x), vdupq_n_f32(x)}; }
inline f32x8 to_float(i32x8 a) { return {vcvtq_f32_s32(a.low), vcvtq_f32_s32(a.high)}; }
inline f32x8 as_float(i32x8 a) { return {vreinterpretq_f32_s32(a.low), vreinterpretq_f32_s32(a.high)}; }
inline i32x8 widened(int16x8_t a) { return {vmovl_s16(vget_low_s16(a)), vmovl_s16(vget_high_s16(a))}; }
inline i32x8 widened(uint8x8_t a) { return widened(vreinterpretq_s16_u16(vmovl_u8(a))); }

inline f32x8 load(const float* p) { return {vld1q_f32(p), vld1q_f32(p + 4)}; }
inline f32x8 load(const uint16_t* p, Half) {
    return {vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))), vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4)))};
}
inline f32x8 load(const uint16_t* p, BFloat) {
    return {vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16)),
            vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p + 4), 16))};
}
inline f32x8 load(const int8_t* p) { return to_float(widened(vmovl_s8(vld1_s8(p)))); }
inline f32x8 load(const uint8_t* p) { return to_float(widened(vld1_u8(p))); }
inline f32x8 load(const uint8_t* p, LowNibble) { return to_float(widened(vand_u8(vld1_u8(p), vdup_n_u8(15)))); }
inline f32x8 load(const uint8_t* p, HighNibble) { return to_float(widened(vshr_n_u8(vld1_u8(p), 4))); }
inline void store(float* p, f32x8 x) {
    vst1q_f32(p, x.low);
    vst1q_f32(p + 4, x.high);
}
inline void store_half(uint16_t* p, f32x8 x) {
    vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(x.low)));
    vst1_u16(p + 4, vreinterpret_u16_f16(vcvt_f16_f32(x.high)));
}
inline f32x8 add(f32x8 a, f32x8 b) { return {vaddq_f32(a.low, b.low), vaddq_f32(a.high, b.high)}; }
inline f32x8 sub(f32x8 a, f32x8 b) { return {vsubq_f32(a.low, b.low), vsubq_f32(a.high, b.high)}; }
inline f32x8 mul(f32x8 a, f32x8 b) { return {vmulq_f32(a.low, b.low), vmulq_f32(a.high, b.high)}; }
inline f32x8 div(f32x8 a, f32x8 b) { return {vdivq_f32(a.low, b.low), vdivq_f32(a.high, b.high)}; }
inline f32x8 fma(f32x8 a, f32x8 b, f32x8 c) {
    return {vfmaq_f32(c.low, a.low, b.low), vfmaq_f32(c.high, a.high, b.high)};
}
inline f32x8 abs(f32x8 a) { return {vabsq_f32(a.low), vabsq_f32(a.high)}; }
// a < b ? x : y, lane by lane; no number is less than NaN.
inline f32x8 where_less(f32x8 a, f32x8 b, f32x8 x, f32x8 y) {
    return {vbslq_f32(vcltq_f32(a.low, b.low), x.low, y.low), vbslq_f32(vcltq_f32(a.high, b.high), x.high, y.high)};
}
// Where neither is larger, as with NaN, the second: the instructions of that name would make NaN of it.
inline f32x8 max(f32x8 a, f32x8 b) { return where_less(b, a, a, b); }
inline f32x8 min(f32x8 a, f32x8 b) { return where_less(a, b, a, b); }

inline int32x4_t if_it_fits(int32x4_t converted, float32x4_t x) {
    const uint32x4_t fits = vandq_u32(vcgeq_f32(x, vdupq_n_f32(-0x1p31F)), vcltq_f32(x, vdupq_n_f32(0x1p31F)));
    return vbslq_s32(fits, converted, vdupq_n_s32(INT32_MIN));
}
inline i32x8 round_to_int(f32x8 a) {
    return {if_it_fits(vcvtnq_s32_f32(a.low), a.low), if_it_fits(vcvtnq_s32_f32(a.high), a.high)};
}
inline i32x8 truncate_to_int(f32x8 a) {
    return {if_it_fits(vcvtq_s32_f32(a.low), a.low), if_it_fits(vcvtq_s32_f32(a.high), a.high)};
}
inline f32x8 look_up(const float* table, i32x8 index) {
    int32_t at[kLanes];
    float found[kLanes];
    vst1q_s32(at, index.low);
    vst1q_s32(at + 4, index.high);
    for (size_t i = 0; i < kLanes; i++) found[i] = table[at[i]];
    return load(found);
}
// Four by four: rows a, b, c, d become columns.
inline void transpose(float32x4_t& a, float32x4_t& b, float32x4_t& c, float32x4_t& d) {
    const float32x4_t ac0 = vzip1q_f32(a, c), ac1 = vzip2q_f32(a, c), bd0 = vzip1q_f32(b, d), bd1 = vzip2q_f32(b, d);
    a = vzip1q_f32(ac0, bd0);
    b = vzip2q_f32(ac0, bd0);
    c = vzip1q_f32(ac1, bd1);
    d = vzip2q_f32(ac1, bd1);
}
inline void transpose(f32x8 (&rows)[kLanes]) {
    for (size_t i = 0; i < kLanes; i += 4) {
        transpose(rows[i].low, rows[i + 1].low, rows[i + 2].low, rows[i + 3].low);
        transpose(rows[i].high, rows[i + 1].high, rows[i + 2].high, rows[i + 3].high);
    }
    for (size_t i = 0; i < 4; i++) {
        const float32x4_t high = rows[i].high;
        rows[i].high = rows[i + 4].low;
        rows[i + 4].low = high;
    }
}
inline i32x8 add(i32x8 a, i32x8 b) { return {vaddq_s32(a.low, b.low), vaddq_s32(a.high, b.high)}; }
inline f32x8 exp2_of(i32x8 n) {
    const int32x4_t bias = vdupq_n_s32(127);
    return as_float({vshlq_n_s32(vaddq_s32(n.low, bias), 23), vshlq_n_s32(vaddq_s32(n.high, bias), 23)});
}
inline void store_int8(int8_t* p, i32x8 a) {
    vst1_s8(p, vqmovn_s16(vcombine_s16(vqmovn_s32(a.low), vqmovn_s32(a.high))));
}
inline PairSums pair_sums(i32x8 a) {  // exact, hence in any order
    const int32x4_t four = vaddq_s32(a.low, a.high);
    return {vaddv_s32(vget_low_s32(four)), vaddv_s32(vget_high_s32(four))};
}
inline bool any_nan(f32x8 a) { return vminvq_u32(vandq_u32(vceqq_f32(a.low, a.low), vceqq_f32(a.high, a.high))) == 0; }

// Thirty-two bytes, four of them in each lane.
inline uint8x16_t as_bytes(int32x4_t a) { return vreinterpretq_u8_s32(a); }
inline i32x8 as_lanes(uint8x16_t low, uint8x16_t high) {
    return {vreinterpretq_s32_u8(low), vreinterpretq_s32_u8(high)};
}
inline i32x8 splat_byte(int x) {
    const uint8x16_t bytes = vdupq_n_u8(static_cast<uint8_t>(x));
    return as_lanes(bytes, bytes);
}
inline i32x8 splat_word(int32_t x) { return {vdupq_n_s32(x), vdupq_n_s32(x)}; }
inline i32x8 load_bytes(const void* p) {
    const auto* bytes = static_cast<const uint8_t*>(p);
    return as_lanes(vld1q_u8(bytes), vld1q_u8(bytes + 16));
}
inline void store_bytes(void* p, i32x8 a) {
    auto* bytes = static_cast<uint8_t*>(p);
    vst1q_u8(bytes, as_bytes(a.low));
    vst1q_u8(bytes + 16, as_bytes(a.high));
}
inline i32x8 shift_right(i32x8 a, int bits) {
    const uint8x16_t by = vdupq_n_u8(static_cast<uint8_t>(bits));
    return as_lanes(as_bytes(a.low) >> by, as_bytes(a.high) >> by);
}
inline i32x8 shift_left(i32x8 a, int bits) {
    const uint8x16_t by = vdupq_n_u8(static_cast<uint8_t>(bits));
    return as_lanes(as_bytes(a.low) << by, as_bytes(a.high) << by);
}
inline i32x8 both(i32x8 a, i32x8 b) { return {vandq_s32(a.low, b.low), vandq_s32(a.high, b.high)}; }
inline i32x8 either(i32x8 a, i32x8 b) { return {vorrq_s32(a.low, b.low), vorrq_s32(a.high, b.high)}; }
inline i32x8 look_up(const int8_t (&table)[16], i32x8 index) {
    const uint8x16_t levels = vreinterpretq_u8_s8(vld1q_s8(table));
    return as_lanes(vqtbl1q_u8(levels, as_bytes(index.low)), vqtbl1q_u8(levels, as_bytes(index.high)));
}
// Adds the products with the four bytes of group g, all of them signed, to every lane.
template <int g>
inline i32x8 add_dot(i32x8 sum, i32x8 codes, int8x16_t groups) {
    return {vdotq_laneq_s32(sum.low, vreinterpretq_s8_s32(codes.low), groups, g),
            vdotq_laneq_s32(sum.high, vreinterpretq_s8_s32(codes.high), groups, g)};
}

}  // namespace
}  // namespace gadfly
