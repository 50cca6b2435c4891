// Blocks of 256 weights: eight groups of 32 or sixteen of 16, whose scales are themselves whole numbers times one
// scale.
//
// First each group's best scale is searched for as if it could be any number. Then the block's scale d follows from the
// largest, and each group tries the whole numbers around its own, rounding its codes anew; then d is fitted to
// all codes, and the groups try again. What counts is always the error of what will be stored.
#pragma once

#include <algorithm>
#include <cstring>
#include <limits>

#include "formats/blocks.h"
#include "kernels/encode_search.h"

namespace gadfly {
namespace {

constexpr size_t kRefinements = 2;  // d is fitted between them

// The groups of a block of 256, n weights each, eight to a vector.
template <size_t n>
struct BlockGroups {
    static constexpr size_t kVectors = kChunk / n / kLanes;

    struct Numbers {  // one for each group
        f32x8 eight[kVectors];

        static constexpr size_t size() { return kVectors; }
        f32x8& operator[](size_t v) { return eight[v]; }
        const f32x8& operator[](size_t v) const { return eight[v]; }
    };

    explicit BlockGroups(const float* x, const float* importance) : BlockGroups(x, importance, Each{}) {}

    const Groups<n>& operator[](size_t v) const { return groups_[v]; }

  private:
    using Each = std::make_index_sequence<kVectors>;
    template <size_t... v>
    BlockGroups(const float* x, const float* importance, std::index_sequence<v...>)
        : groups_{Groups<n>(x + v * n * kLanes, importance ? importance + v * n * kLanes : nullptr)...} {}

    Groups<n> groups_[kVectors];
};

template <class Numbers>
float largest_of(const Numbers& numbers) {
    float largest = max_lane(numbers[0]);
    for (size_t v = 1; v < numbers.size(); v++) largest = std::max(largest, max_lane(numbers[v]));
    return largest;
}

template <class Numbers>
void store_codes(const Numbers& numbers, int8_t* out) {
    for (size_t v = 0; v < numbers.size(); v++) store_int8(out + v * kLanes, round_to_int(numbers[v]));
}

inline float half_of(float x) { return half_to_float(float_to_half(x)); }

// ---- x ≈ d · scale · code − dmin · minimum --------------------------------------------------------------------------

template <size_t n>
struct Affine {
    float d, dmin;  // as half floats hold them
    int8_t scale[kChunk / n], minimum[kChunk / n];
    int8_t codes[kChunk];
};

// Tries the scales next to `scale`, each with the minimum that suits it, and keeps what loses least.
template <size_t n>
void refine_line(const Groups<n>& group, const Uniform& levels, const Uniform& numbers, f32x8 d, f32x8 dmin,
                 f32x8& scale, f32x8& minimum) {
    const f32x8 per_dmin = inverse(dmin), before = mul(dmin, minimum), around = scale;
    f32x8 best = splat(std::numeric_limits<float>::infinity());
    for (const float shift : {0.0F, -1.0F, 1.0F}) {
        const f32x8 tried = numbers.nearest(add(around, splat(shift)));
        const f32x8 step = mul(d, tried), per_step = inverse(step);
        f32x8 q = splat(0.0F);
        for (size_t i = 0; i < n; i++) {
            q = add(q, mul(group.w[i], levels.nearest(mul(add(group.x[i], before), per_step))));
        }
        const f32x8 wanted = div(sub(mul(step, q), group.sum_wx), group.sum_w);
        const f32x8 found = numbers.nearest(mul(wanted, per_dmin)), shifted = mul(dmin, found);
        f32x8 error = splat(0.0F);
        for (size_t i = 0; i < n; i++) {
            const f32x8 raised = add(group.x[i], shifted);
            const f32x8 lost = sub(raised, mul(step, levels.nearest(mul(raised, per_step))));
            error = add(error, mul(mul(group.w[i], lost), lost));
        }
        scale = where_less(error, best, tried, scale);
        minimum = where_less(error, best, found, minimum);
        best = min(error, best);
    }
}

// Fits d and dmin to the codes of a whole block, if that leaves both of them positive.
template <size_t n>
void fit_line_of_block(const BlockGroups<n>& block, const Uniform& levels,
                       const typename BlockGroups<n>::Numbers& scale, const typename BlockGroups<n>::Numbers& minimum,
                       float& d, float& dmin) {
    float ss = 0, sm = 0, mm = 0, xs = 0, xm = 0;
    for (size_t v = 0; v < scale.size(); v++) {
        const f32x8 step = mul(splat(d), scale[v]);
        const Moments of = moments(block[v], levels, inverse(step), mul(splat(dmin), minimum[v]));
        ss += sum(mul(mul(scale[v], scale[v]), of.qq));
        sm += sum(mul(mul(scale[v], minimum[v]), of.q));
        mm += sum(mul(mul(minimum[v], minimum[v]), block[v].sum_w));
        xs += sum(mul(scale[v], of.xq));
        xm += sum(mul(minimum[v], block[v].sum_wx));
    }
    const float det = ss * mm - sm * sm;
    if (!(det > 1e-4F * (ss * mm))) return;
    const float better_d = half_of((mm * xs - sm * xm) / det), better_dmin = half_of((sm * xs - ss * xm) / det);
    if (!(better_d > 0 && better_dmin > 0)) return;
    d = better_d;
    dmin = better_dmin;
}

template <size_t n>
Affine<n> fit_affine(const float* x, const float* importance, float top, float top_number, const Guesses& guesses) {
    const BlockGroups<n> block(x, importance);
    const Uniform levels{0, top}, numbers{0, top_number};
    typename BlockGroups<n>::Numbers scale, minimum;
    for (size_t v = 0; v < scale.size(); v++) {
        const Line line = fit_line(block[v], levels, 0.0F, guesses);
        scale[v] = line.scale;
        minimum[v] = line.minimum;
    }
    Affine<n> found;
    float d = half_of(largest_of(scale) / top_number), dmin = half_of(largest_of(minimum) / top_number);
    for (size_t v = 0; v < scale.size(); v++) {
        scale[v] = numbers.nearest(mul(scale[v], inverse(splat(d))));
        minimum[v] = numbers.nearest(mul(minimum[v], inverse(splat(dmin))));
    }
    for (size_t round = 0; round < kRefinements; round++) {
        if (round > 0) fit_line_of_block(block, levels, scale, minimum, d, dmin);
        for (size_t v = 0; v < scale.size(); v++) {
            refine_line(block[v], levels, numbers, splat(d), splat(dmin), scale[v], minimum[v]);
        }
    }
    found.d = d;
    found.dmin = dmin;
    store_codes(scale, found.scale);
    store_codes(minimum, found.minimum);

    alignas(32) float per_step[kChunk / n], shift[kChunk / n];
    for (size_t v = 0; v < scale.size(); v++) {
        store(per_step + v * kLanes, inverse(mul(splat(d), scale[v])));
        store(shift + v * kLanes, mul(splat(dmin), minimum[v]));
    }
    for (size_t i = 0; i < kChunk; i += kLanes) {
        const f32x8 raised = add(load(x + i), splat(shift[i / n]));
        store_int8(found.codes + i, round_to_int(levels.code(mul(raised, splat(per_step[i / n])))));
    }
    return found;
}

// ---- x ≈ d · scale · level ------------------------------------------------------------------------------------------

template <size_t n>
struct Scaled {
    float d;
    int8_t scale[kChunk / n];
    int8_t codes[kChunk];
};

template <size_t n, class Levels>
void refine_scale(const Groups<n>& group, const Levels& levels, const Uniform& numbers, f32x8 d, f32x8& scale) {
    const f32x8 around = scale;
    f32x8 best = splat(std::numeric_limits<float>::infinity());
    for (const float shift : {0.0F, -1.0F, 1.0F}) {
        const f32x8 tried = numbers.nearest(add(around, splat(shift)));
        const f32x8 step = mul(d, tried), per_step = inverse(step);
        f32x8 error = splat(0.0F);
        for (size_t i = 0; i < n; i++) {
            const f32x8 lost = sub(group.x[i], mul(step, levels.nearest(mul(group.x[i], per_step))));
            error = add(error, mul(mul(group.w[i], lost), lost));
        }
        scale = where_less(error, best, tried, scale);
        best = min(error, best);
    }
}

template <size_t n, class Levels>
float fit_scale_of_block(const BlockGroups<n>& block, const Levels& levels,
                         const typename BlockGroups<n>::Numbers& scale, float d) {
    float ss = 0, xs = 0;
    for (size_t v = 0; v < scale.size(); v++) {
        const LevelMoments of = level_moments(block[v], levels, inverse(mul(splat(d), scale[v])));
        ss += sum(mul(mul(scale[v], scale[v]), of.qq));
        xs += sum(mul(scale[v], of.xq));
    }
    return ss > 0 ? half_of(xs / ss) : d;
}

template <size_t n, class Levels>
Scaled<n> fit_scaled(const float* x, const float* importance, const Levels& levels, const Uniform& numbers,
                     const Guesses& low, const Guesses& high) {
    const BlockGroups<n> block(x, importance);
    typename BlockGroups<n>::Numbers scale;
    float peak = 0;  // the scale farthest from zero
    for (size_t v = 0; v < scale.size(); v++) {
        scale[v] = fit_scale(block[v], levels, low, high);
        float each[kLanes];
        store(each, scale[v]);
        for (const float one : each) peak = std::fabs(one) > std::fabs(peak) ? one : peak;
    }
    Scaled<n> found;
    float d = half_of(peak / numbers.low);
    for (f32x8& one : scale.eight) one = numbers.nearest(mul(one, inverse(splat(d))));
    for (size_t round = 0; round < kRefinements; round++) {
        if (round > 0) d = fit_scale_of_block(block, levels, scale, d);
        for (size_t v = 0; v < scale.size(); v++) refine_scale(block[v], levels, numbers, splat(d), scale[v]);
    }
    found.d = d;
    store_codes(scale, found.scale);

    float per_step[kChunk / n];
    for (size_t v = 0; v < scale.size(); v++) store(per_step + v * kLanes, inverse(mul(splat(d), scale[v])));
    for (size_t i = 0; i < kChunk; i += kLanes) {
        const f32x8 scaled = mul(load(x + i), splat(per_step[i / n]));
        store_int8(found.codes + i, round_to_int(levels.code(scaled)));
    }
    return found;
}

}  // namespace
}  // namespace gadfly
