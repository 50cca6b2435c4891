// The search for a scale, or a scale and a minimum, that lose least of a group of weights, for eight groups at once.
//
// For given codes the best scale and minimum are known: weighted least squares. Codes follow from a scale and a minimum
// by rounding. So a few guesses at the scale are tried, and the best of them is polished by doing the two in turn.
// With S_ab = Σ w·a·b, what a fit gains over storing zeros is (Sxx − error) = scale·S_xq − minimum·S_x.
#pragma once

#include <cmath>
#include <limits>

#include "kernels/encode_lanes.h"

namespace gadfly {
namespace {

constexpr size_t kPolish = 1;  // rounds of fitting and rounding in turn, after the guesses

// Levels at equal distances: whole numbers from low to high.
struct Uniform {
    float low, high;

    f32x8 nearest(f32x8 x) const { return round(min(max(x, splat(low)), splat(high))); }
    f32x8 code(f32x8 x) const { return sub(nearest(x), splat(low)); }
};

// The sixteen levels of IQ4_NL and IQ4_XS. Bins of half a unit tell which of them is nearest.
constexpr float kIq4Levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
constexpr int kIq4Zero = 256;  // the bin that begins at 0
struct Iq4Bins {
    float level[2 * kIq4Zero], code[2 * kIq4Zero];

    constexpr Iq4Bins() : level(), code() {
        for (int bin = 0, nearest = 0; bin < 2 * kIq4Zero; bin++) {
            const float middle = static_cast<float>(bin - kIq4Zero) * 0.5F + 0.25F;
            while (nearest < 15 && 2 * middle > kIq4Levels[nearest] + kIq4Levels[nearest + 1]) nearest++;
            level[bin] = kIq4Levels[nearest];
            code[bin] = static_cast<float>(nearest);
        }
    }
};
constexpr Iq4Bins kIq4Bins;

struct Iq4 {
    static i32x8 bin(f32x8 x) {
        const f32x8 inside = min(max(x, splat(kIq4Levels[0])), splat(kIq4Levels[15]));
        return round_to_int(sub(add(inside, inside), splat(0.5F)));
    }
    f32x8 nearest(f32x8 x) const { return look_up(kIq4Bins.level + kIq4Zero, bin(x)); }
    f32x8 code(f32x8 x) const { return look_up(kIq4Bins.code + kIq4Zero, bin(x)); }
};

// Guesses: the group's peak (or its range, if there is a minimum) becomes first, first + step, ... units.
struct Guesses {
    float first, step;
    size_t count;

    float at(size_t i) const { return first + step * static_cast<float>(i); }
};

struct LevelMoments {
    f32x8 qq, xq;
};

template <size_t n, class Levels>
LevelMoments level_moments(const Groups<n>& group, const Levels& levels, f32x8 per_unit) {
    LevelMoments sum{splat(0.0F), splat(0.0F)};
    for (size_t i = 0; i < n; i++) {
        const f32x8 level = levels.nearest(mul(group.x[i], per_unit));
        const f32x8 weighted = mul(group.w[i], level);
        sum.qq = add(sum.qq, mul(weighted, level));
        sum.xq = add(sum.xq, mul(weighted, group.x[i]));
    }
    return sum;
}

// x ≈ scale · level. Guesses put the peak near the level that is farthest from zero, and near the other end.
template <size_t n, class Levels>
f32x8 fit_scale(const Groups<n>& group, const Levels& levels, const Guesses& low, const Guesses& high) {
    f32x8 best = splat(0.0F), best_gain = splat(0.0F);
    const auto attempt = [&](f32x8 per_unit) {
        const LevelMoments sum = level_moments(group, levels, per_unit);
        const f32x8 scale = div(sum.xq, sum.qq);
        const f32x8 gain = mul(scale, sum.xq);
        best = where_less(best_gain, gain, scale, best);
        best_gain = where_less(best_gain, gain, gain, best_gain);
    };
    const f32x8 per_peak = inverse(group.peak());
    for (size_t i = 0; i < low.count; i++) attempt(mul(per_peak, splat(low.at(i))));
    for (size_t i = 0; i < high.count; i++) attempt(mul(per_peak, splat(high.at(i))));
    for (size_t i = 0; i < kPolish; i++) attempt(inverse(best));
    return best;
}

struct Line {  // x ≈ scale · code − minimum
    f32x8 scale, minimum;
};

struct Moments {
    f32x8 q, qq, xq;
};

template <size_t n>
Moments moments(const Groups<n>& group, const Uniform& levels, f32x8 per_unit, f32x8 minimum) {
    Moments sum{splat(0.0F), splat(0.0F), splat(0.0F)};
    for (size_t i = 0; i < n; i++) {
        const f32x8 code = levels.nearest(mul(add(group.x[i], minimum), per_unit));
        const f32x8 weighted = mul(group.w[i], code);
        sum.q = add(sum.q, weighted);
        sum.qq = add(sum.qq, mul(weighted, code));
        sum.xq = add(sum.xq, mul(weighted, group.x[i]));
    }
    return sum;
}

// The minimum is at least `floor`: 0 where the format knows no negative ones, else −∞.
template <size_t n>
Line fit_line(const Groups<n>& group, const Uniform& levels, float floor, const Guesses& guesses) {
    constexpr float kSolid = 1e-4F;  // codes that are all but equal do not determine two numbers
    const f32x8 zero = splat(0.0F), least = splat(floor);
    Line best{zero, max(sub(zero, div(group.sum_wx, group.sum_w)), least)};
    f32x8 best_gain = sub(zero, mul(best.minimum, group.sum_wx));
    const auto attempt = [&](f32x8 per_unit, f32x8 from) {
        const Moments sum = moments(group, levels, per_unit, from);
        const f32x8 area = mul(group.sum_w, sum.qq);
        const f32x8 det = sub(area, mul(sum.q, sum.q));
        const f32x8 alone = div(sum.xq, sum.qq);  // the best scale without a minimum
        f32x8 scale = div(sub(mul(group.sum_w, sum.xq), mul(group.sum_wx, sum.q)), det);
        f32x8 minimum = div(sub(mul(sum.q, sum.xq), mul(sum.qq, group.sum_wx)), det);
        const f32x8 threshold = mul(splat(kSolid), area);
        scale = where_less(threshold, det, where_less(minimum, least, alone, scale), alone);
        minimum = where_less(threshold, det, where_less(minimum, least, zero, minimum), zero);
        f32x8 gain = sub(mul(scale, sum.xq), mul(minimum, group.sum_wx));
        gain = where_less(zero, scale, gain, zero);
        best.scale = where_less(best_gain, gain, scale, best.scale);
        best.minimum = where_less(best_gain, gain, minimum, best.minimum);
        best_gain = where_less(best_gain, gain, gain, best_gain);
    };
    const f32x8 low = min(group.smallest(), sub(zero, least));
    const f32x8 per_range = inverse(sub(group.largest(), low));
    for (size_t i = 0; i < guesses.count; i++) attempt(mul(per_range, splat(guesses.at(i))), sub(zero, low));
    for (size_t i = 0; i < kPolish; i++) attempt(inverse(best.scale), best.minimum);
    return best;
}

}  // namespace
}  // namespace gadfly
