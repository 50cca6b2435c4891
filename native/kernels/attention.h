// Softmax attention over a paged cache, for a few queries that share a key/value head.
//
// Keys lie in a page as [head_dim][slot], so a vector holds the scores of eight positions and no lane is ever summed
// across; values lie as [slot][head_dim], and the scales of int8 ones are folded into the probabilities. A query's
// arithmetic is the same whichever queries it is grouped with.
#pragma once

#include <algorithm>
#include <type_traits>

#include "kernels/kernels.h"
#include "kernels/simd.h"

namespace gadfly {
namespace {

inline const std::byte* page_at(const std::byte* head, const AttendTask& task, size_t position) {
    return head + static_cast<size_t>(task.pages[position / task.page_size]) * task.page_stride;
}

template <size_t Q>
void score(const AttendTask& task, size_t visible) {
    for (size_t first = task.begin; first < visible; first += 2 * kLanes) {
        const auto* k = reinterpret_cast<const uint16_t*>(page_at(task.keys, task, first)) + first % task.page_size;
        f32x8 acc[Q][2];
        for (auto& a : acc) a[0] = a[1] = splat(0);
        for (size_t d = 0; d < task.head_dim; d++, k += task.page_size) {
            const f32x8 k0 = load(k, Half{}), k1 = load(k + kLanes, Half{});
#pragma GCC unroll 6
            for (size_t q = 0; q < Q; q++) {
                const f32x8 x = splat(task.query[q][d]);
                acc[q][0] = fma(x, k0, acc[q][0]);
                acc[q][1] = fma(x, k1, acc[q][1]);
            }
        }
        for (size_t q = 0; q < Q; q++) {
            float* out = task.scores + q * task.score_stride + (first - task.begin);
            for (size_t i = 0; i < 2; i++) {
                f32x8 s = mul(acc[q][i], splat(task.scale));
                if (task.softcap > 0) s = softcapped(s, task.softcap);
                store(out + i * kLanes, mul(s, splat(task.temperature[q])));
            }
        }
    }
}

// Turns scores [first, last) into unnormalised probabilities and the others of [0, end) into zeros; returns the sum.
float exponentiate(float* scores, size_t first, size_t last, size_t end) {
    std::fill(scores, scores + first, -INFINITY);
    std::fill(scores + last, scores + end, -INFINITY);
    f32x8 largest = splat(-INFINITY);
    for (size_t i = 0; i < end; i += kLanes) largest = max(load(scores + i), largest);
    const f32x8 top = splat(max_lane(largest));
    f32x8 total = splat(0);
    for (size_t i = 0; i < end; i += kLanes) {
        float* p = scores + i;
        store(p, exp(sub(load(p), top)));
        if (i < first) std::fill(p, std::min(p + kLanes, scores + first), 0.0F);
        if (i + kLanes > last) std::fill(std::max(p, scores + last), p + kLanes, 0.0F);
        total = add(total, load(p));
    }
    return sum(total);
}

// p becomes p · (scale of the value it weighs), for the positions from `begin` to `end`, a multiple of 16.
void fold_value_scales(const AttendTask& task, float* p, size_t end) {
    for (size_t first = task.begin; first < end; first += kLanes, p += kLanes) {
        const std::byte* codes = page_at(task.values, task, first);
        const auto* scales = reinterpret_cast<const float*>(codes + task.head_dim * task.page_size);
        store(p, mul(load(p), load(scales + first % task.page_size)));
    }
}

inline f32x8 load_value(const int8_t* p) { return load(p); }
inline f32x8 load_value(const uint16_t* p) { return load(p, Half{}); }

// out[q] = Σ p · v / total, eight components at a time. Value: uint16_t for half floats, int8_t for codes.
template <size_t Q, class Value>
void mix(const AttendTask& task, size_t visible, const float (&total)[kQueries]) {
    for (size_t d = 0; d < task.head_dim; d += kLanes) {
        f32x8 acc[Q];
        for (f32x8& a : acc) a = splat(0);
        for (size_t first = task.begin; first < visible;) {
            const size_t slot = first % task.page_size, last = std::min(visible, first - slot + task.page_size);
            const auto* v =
                reinterpret_cast<const Value*>(page_at(task.values, task, first)) + slot * task.head_dim + d;
            const float* p = task.scores + (first - task.begin);
            for (; first < last; first++, p++, v += task.head_dim) {
                const f32x8 value = load_value(v);
#pragma GCC unroll 6
                for (size_t q = 0; q < Q; q++) acc[q] = fma(splat(p[q * task.score_stride]), value, acc[q]);
            }
        }
        for (size_t q = 0; q < Q; q++) store(task.out[q] + d, mul(acc[q], splat(1.0F / total[q])));
    }
}

template <size_t Q, class Value>
void attend_queries(const AttendTask& task) {
    const size_t visible = *std::max_element(task.visible, task.visible + Q);
    const size_t end = (visible + 2 * kLanes - 1) / (2 * kLanes) * (2 * kLanes);
    score<Q>(task, visible);
    float total[kQueries];
    for (size_t q = 0; q < Q; q++) {
        float* p = task.scores + q * task.score_stride;
        total[q] = exponentiate(p, task.first[q] - task.begin, task.visible[q] - task.begin, end - task.begin);
        if constexpr (std::is_same_v<Value, int8_t>) fold_value_scales(task, p, end);
    }
    mix<Q, Value>(task, visible, total);
}

template <class Value>
void attend_over(const AttendTask& task) {
    switch (task.queries) {
        case 1: return attend_queries<1, Value>(task);
        case 2: return attend_queries<2, Value>(task);
        case 3: return attend_queries<3, Value>(task);
        case 4: return attend_queries<4, Value>(task);
        case 5: return attend_queries<5, Value>(task);
        default: return attend_queries<6, Value>(task);
    }
}

void attend(const AttendTask& task) {
    task.kind == Values::kHalf ? attend_over<uint16_t>(task) : attend_over<int8_t>(task);
}

}  // namespace
}  // namespace gadfly
