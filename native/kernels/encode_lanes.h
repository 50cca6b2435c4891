// What encoders see of 256 weights: eight groups of them (or twice eight) at once, one per lane.
//
// Everything is done in the same order on every instruction set, without fused multiply-add, so that the numpy twin
// (gadfly/quant/search.py) finds the same bits.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "kernels/kernels.h"
#include "kernels/simd.h"

namespace gadfly {
namespace {

constexpr size_t kChunk = kEncodeColumns;  // weights that are encoded together: a large block, or eight small ones

// Weights above are not worth a search: no format's scales can hold them. NaN does not fit either.
constexpr float kLargestWeight = 1e9F;

// To the nearest integer, ties to even, for |x| < 2^22.
inline f32x8 round(f32x8 x) {
    const f32x8 magic = splat(0x1.8p23F);
    return sub(add(x, magic), magic);
}

// 1 / x, and 0 where that would be too large to compute with: what is so small encodes as zero.
inline f32x8 inverse(f32x8 x) {
    const f32x8 tiny = splat(1e-30F);
    return where_less(tiny, abs(x), div(splat(1.0F), x), splat(0.0F));
}

inline f32x8 as_half(f32x8 x) {
    uint16_t halves[kLanes];
    store_half(halves, x);
    return load(halves, Half{});
}

// Eight groups of n weights, side by side: x[i] has weight i of each. `w` says how much an error at i matters.
template <size_t n>
struct Groups {
    f32x8 x[n], w[n], sum_w, sum_wx;

    // From 8n weights in a row. Without importance all errors matter alike.
    Groups(const float* weights, const float* importance) : sum_w(splat(0.0F)), sum_wx(splat(0.0F)) {
        put(weights, x);
        if (importance) {
            put(importance, w);
        } else {
            for (f32x8& one : w) one = splat(1.0F);
        }
        for (size_t i = 0; i < n; i++) {
            sum_w = add(sum_w, w[i]);
            sum_wx = add(sum_wx, mul(w[i], x[i]));
        }
    }

    // Of each group the weight that is farthest from zero, the first of them.
    f32x8 peak() const {
        f32x8 found = x[0];
        for (size_t i = 1; i < n; i++) found = where_less(abs(found), abs(x[i]), x[i], found);
        return found;
    }

    f32x8 smallest() const {
        f32x8 found = x[0];
        for (size_t i = 1; i < n; i++) found = min(found, x[i]);
        return found;
    }

    f32x8 largest() const {
        f32x8 found = x[0];
        for (size_t i = 1; i < n; i++) found = max(found, x[i]);
        return found;
    }

  private:
    static void put(const float* from, f32x8 (&to)[n]) {
        for (size_t i = 0; i < n; i += kLanes) {
            f32x8 rows[kLanes];
            for (size_t lane = 0; lane < kLanes; lane++) rows[lane] = load(from + lane * n + i);
            transpose(rows);
            for (size_t k = 0; k < kLanes; k++) to[i + k] = rows[k];
        }
    }
};

inline bool all_fit(const float* x) {
    f32x8 worst = splat(0.0F);
    for (size_t i = 0; i < kChunk; i += kLanes) {
        worst = max(worst, where_less(abs(load(x + i)), splat(kLargestWeight), splat(0.0F), splat(1.0F)));
    }
    return max_lane(worst) == 0;
}

inline bool is_finite_half(uint16_t half) { return (half & 0x7C00U) != 0x7C00U; }

}  // namespace
}  // namespace gadfly
