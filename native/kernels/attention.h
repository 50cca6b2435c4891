// Softmax attention over a paged cache, for a few queries that share a key/value head.
//
// Keys lie in a page as [head_dim][slot], so a vector holds the scores of eight positions and no lane is ever summed
// across; values lie as [slot][head_dim], and their scales are folded into the probabilities. A query's arithmetic is
// the same whichever queries it is grouped with.
#pragma once

#include "kernels/kernels.h"
#include "kernels/simd.h"

namespace gadfly {
namespace {

inline const std::byte* page_at(const std::byte* head, const AttendTask& task, size_t position) {
    return head + static_cast<size_t>(task.pages[position / task.page_size]) * task.page_stride;
}

inline f32x8 capped(f32x8 scores, float cap) {
    return cap > 0 ? mul(splat(cap), tanh(div(scores, splat(cap)))) : scores;
}

template <size_t Q>
void score(const AttendTask& task, size_t visible) {
    for (size_t first = 0; first < visible; first += 2 * kLanes) {
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
            float* out = task.scores + q * task.score_stride + first;
            store(out, capped(mul(acc[q][0], splat(task.scale)), task.softcap));
            store(out + kLanes, capped(mul(acc[q][1], splat(task.scale)), task.softcap));
        }
    }
}

// Turns scores into unnormalised probabilities, zero from `visible` to `end`; returns their sum.
float exponentiate(float* scores, size_t visible, size_t end) {
    for (size_t i = visible; i < end; i++) scores[i] = -INFINITY;
    f32x8 largest = splat(-INFINITY);
    for (size_t i = 0; i < visible; i += kLanes) largest = max(load(scores + i), largest);
    const f32x8 top = splat(max_lane(largest));
    f32x8 total = splat(0);
    for (size_t i = 0; i < visible; i += kLanes) {
        store(scores + i, exp(sub(load(scores + i), top)));
        if (i + kLanes > visible) {
            for (size_t j = visible; j < i + kLanes; j++) scores[j] = 0;
        }
        total = add(total, load(scores + i));
    }
    for (size_t i = (visible + kLanes - 1) / kLanes * kLanes; i < end; i++) scores[i] = 0;
    return sum(total);
}

// p becomes p · (scale of the value it weighs), for the positions before `end`, a multiple of 16.
void fold_value_scales(const AttendTask& task, float* p, size_t end) {
    for (size_t first = 0; first < end; first += kLanes) {
        const std::byte* codes = page_at(task.values, task, first);
        const auto* scales = reinterpret_cast<const float*>(codes + task.head_dim * task.page_size);
        store(p + first, mul(load(p + first), load(scales + first % task.page_size)));
    }
}

// out[q] = Σ p · v / total, eight components at a time.
template <size_t Q>
void mix(const AttendTask& task, size_t visible, const float (&total)[kQueries]) {
    for (size_t d = 0; d < task.head_dim; d += kLanes) {
        f32x8 acc[Q];
        for (f32x8& a : acc) a = splat(0);
        for (size_t first = 0; first < visible; first += task.page_size) {
            const auto* v = reinterpret_cast<const int8_t*>(page_at(task.values, task, first)) + d;
            const size_t last = visible - first < task.page_size ? visible - first : task.page_size;
            const float* p = task.scores + first;
            for (size_t slot = 0; slot < last; slot++, v += task.head_dim) {
                const f32x8 value = load(v);
#pragma GCC unroll 6
                for (size_t q = 0; q < Q; q++) acc[q] = fma(splat(p[q * task.score_stride + slot]), value, acc[q]);
            }
        }
        for (size_t q = 0; q < Q; q++) store(task.out[q] + d, mul(acc[q], splat(1.0F / total[q])));
    }
}

template <size_t Q>
void attend_queries(const AttendTask& task) {
    size_t visible = 0;
    for (size_t q = 0; q < Q; q++) visible = task.visible[q] > visible ? task.visible[q] : visible;
    const size_t end = (visible + 2 * kLanes - 1) / (2 * kLanes) * (2 * kLanes);
    score<Q>(task, visible);
    float total[kQueries];
    for (size_t q = 0; q < Q; q++) {
        float* p = task.scores + q * task.score_stride;
        total[q] = exponentiate(p, task.visible[q], end);
        fold_value_scales(task, p, end);
    }
    mix<Q>(task, visible, total);
}

void attend(const AttendTask& task) {
    switch (task.queries) {
        case 1: return attend_queries<1>(task);
        case 2: return attend_queries<2>(task);
        case 3: return attend_queries<3>(task);
        case 4: return attend_queries<4>(task);
        case 5: return attend_queries<5>(task);
        default: return attend_queries<6>(task);
    }
}

}  // namespace
}  // namespace gadfly
