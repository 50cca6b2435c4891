// Eight lanes one after another: what all other instruction sets have to agree with. See kernels/simd.h, which includes
// this.
#pragma once

#include <utility>

namespace gadfly {
namespace {

struct f32x8 {
    float lane[kLanes];
};
struct i32x8 {
    int32_t lane[kLanes];
};

template <class F>
inline f32x8 each(F f) {
    f32x8 r;
    for (size_t i = 0; i < kLanes; i++) r.lane[i] = f(i);
    return r;
}
inline f32x8 splat(float x) {
    return each([&](size_t) { return x; });
}
inline f32x8 load(const float* p) {
    return each([&](size_t i) { return p[i]; });
}
inline f32x8 load(const uint16_t* p, Half) {
    return each([&](size_t i) { return half_to_float(p[i]); });
}
inline f32x8 load(const uint16_t* p, BFloat) {
    return each([&](size_t i) { return std::bit_cast<float>(uint32_t{p[i]} << 16); });
}
inline f32x8 load(const int8_t* p) {
    return each([&](size_t i) { return static_cast<float>(p[i]); });
}
inline f32x8 load(const uint8_t* p) {
    return each([&](size_t i) { return static_cast<float>(p[i]); });
}
inline f32x8 load(const uint8_t* p, LowNibble) {
    return each([&](size_t i) { return static_cast<float>(p[i] & 15); });
}
inline f32x8 load(const uint8_t* p, HighNibble) {
    return each([&](size_t i) { return static_cast<float>(p[i] >> 4); });
}
inline void store(float* p, f32x8 x) { std::memcpy(p, x.lane, sizeof x.lane); }
inline void store_half(uint16_t* p, f32x8 x) {
    for (size_t i = 0; i < kLanes; i++) p[i] = float_to_half(x.lane[i]);
}
inline f32x8 add(f32x8 a, f32x8 b) {
    return each([&](size_t i) { return a.lane[i] + b.lane[i]; });
}
inline f32x8 sub(f32x8 a, f32x8 b) {
    return each([&](size_t i) { return a.lane[i] - b.lane[i]; });
}
inline f32x8 mul(f32x8 a, f32x8 b) {
    return each([&](size_t i) { return a.lane[i] * b.lane[i]; });
}
inline f32x8 div(f32x8 a, f32x8 b) {
    return each([&](size_t i) { return a.lane[i] / b.lane[i]; });
}
inline f32x8 max(f32x8 a, f32x8 b) {
    return each([&](size_t i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
}
inline f32x8 min(f32x8 a, f32x8 b) {
    return each([&](size_t i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; });
}
inline f32x8 fma(f32x8 a, f32x8 b, f32x8 c) {
    return each([&](size_t i) { return std::fma(a.lane[i], b.lane[i], c.lane[i]); });
}
inline f32x8 abs(f32x8 a) {
    return each([&](size_t i) { return std::fabs(a.lane[i]); });
}
inline f32x8 to_float(i32x8 a) {
    return each([&](size_t i) { return static_cast<float>(a.lane[i]); });
}
inline i32x8 round_to_int(f32x8 a) {  // what does not fit becomes INT32_MIN, as in hardware
    i32x8 r;
    for (size_t i = 0; i < kLanes; i++) {
        const float x = std::nearbyintf(a.lane[i]);
        r.lane[i] = x >= -2147483648.0F && x < 2147483648.0F ? static_cast<int32_t>(x) : INT32_MIN;
    }
    return r;
}
inline i32x8 truncate_to_int(f32x8 a) {
    i32x8 r;
    for (size_t i = 0; i < kLanes; i++) {
        const float x = a.lane[i];
        r.lane[i] = x >= -2147483648.0F && x < 2147483648.0F ? static_cast<int32_t>(x) : INT32_MIN;
    }
    return r;
}
inline f32x8 where_less(f32x8 a, f32x8 b, f32x8 x, f32x8 y) {
    return each([&](size_t i) { return a.lane[i] < b.lane[i] ? x.lane[i] : y.lane[i]; });
}
inline f32x8 look_up(const float* table, i32x8 index) {
    return each([&](size_t i) { return table[index.lane[i]]; });
}
inline void transpose(f32x8 (&rows)[kLanes]) {
    for (size_t i = 0; i < kLanes; i++) {
        for (size_t j = 0; j < i; j++) std::swap(rows[i].lane[j], rows[j].lane[i]);
    }
}
inline f32x8 exp2_of(i32x8 n) {
    return each([&](size_t i) { return std::bit_cast<float>((static_cast<uint32_t>(n.lane[i]) + 127U) << 23); });
}
inline void store_int8(int8_t* p, i32x8 a) {
    for (size_t i = 0; i < kLanes; i++) {
        const int32_t x = a.lane[i];
        p[i] = static_cast<int8_t>(x < -128 ? -128 : x > 127 ? 127 : x);
    }
}
inline i32x8 add(i32x8 a, i32x8 b) {
    i32x8 r;
    for (size_t i = 0; i < kLanes; i++) r.lane[i] = a.lane[i] + b.lane[i];
    return r;
}
inline PairSums pair_sums(i32x8 a) {
    return {a.lane[0] + a.lane[1] + a.lane[4] + a.lane[5], a.lane[2] + a.lane[3] + a.lane[6] + a.lane[7]};
}
inline bool any_nan(f32x8 a) {
    bool any = false;
    for (const float lane : a.lane) any |= std::isnan(lane);
    return any;
}

}  // namespace
}  // namespace gadfly
