// Softmax attention over a paged cache, for queries that share a key/value head.
//
// Positions are taken in spans of 256, counted from the first of the sequence. A span by itself gives a query a state:
// its largest score, its sum of powers, its sum of values; states are merged in the order of spans. So a query's
// arithmetic is the same whichever queries it is grouped with, and whoever computes which span.
//
// Keys lie in a page as [head_dim][slot], so a vector holds the scores of sixteen positions and no lane is ever summed
// across; values lie as [slot][head_dim], and the scales of int8 ones are folded into the probabilities. Few queries,
// as in writing, read pages as they are. For many, as in reading, pages become floats in scratch first. Rows of floats
// are padded to sixteen: what is in the padding is computed with and ignored.
#pragma once

#include "kernels/attention_scores.h"
#include "kernels/attention_values.h"

namespace gadfly {
namespace {

// Makes the state of two stretches of positions, the earlier of which is in `state`. Nothing seen leaves it as it is.
void merge_state(const float* later, size_t head_dim, float* state) {
    const size_t padded = AttendState::padded(head_dim);
    float &total = state[padded], &top = state[padded + 1];
    const float more = later[padded], its_top = later[padded + 1];
    if (more == 0) return;
    if (total == 0) {
        std::copy_n(later, AttendState::floats(head_dim), state);
        return;
    }
    const float highest = std::max(top, its_top);
    const f32wide keep = exp2(splat_wide(top - highest)), gain = exp2(splat_wide(its_top - highest));
    for (size_t d = 0; d < padded; d += kWide) {
        store(state + d, fma(load_wide(later + d), gain, mul(load_wide(state + d), keep)));
    }
    store(state + padded, fma(splat_wide(more), gain, mul(splat_wide(total), keep)));
    top = highest;  // which the line before has overwritten
}

template <class Value>
void attend_span(const AttendTask& task, const Scratch& scratch, size_t origin) {
    const size_t begin = std::max(task.begin, origin), last = std::min(task.end, origin + kSpan);
    const size_t end = (last + kWide - 1) / kWide * kWide, padded = AttendState::padded(task.head_dim);
    const bool few = task.queries <= kDirect;
    few ? score_few(task, scratch, origin, begin, end) : score_many(task, scratch, origin, begin, end);
    gather_scales(task, begin, end, scratch.scales + (begin - origin));
    for (size_t q = 0; q < task.queries; q++) {
        float* scores = scratch.scores + q * kScoreRow;
        float* own = scratch.state + q * AttendState::floats(task.head_dim) + padded;
        if (task.softcap > 0) cap(scores, begin - origin, end - origin, task.softcap, task.temperature[q] * kLog2E);
        exponentiate(scores, begin - origin, end - origin, std::max(task.first[q], origin) - origin,
                     std::max(task.visible[q], origin) - origin, scratch.scales, &own[1], &own[0]);
    }
    few ? mix_few<Value>(task, scratch, origin, begin, last) : mix_many<Value>(task, scratch, origin, begin, last);
}

void attend(const AttendTask& task) {
    const Scratch scratch(task);
    const size_t all = task.queries * AttendState::floats(task.head_dim), head_dim = task.head_dim;
    prepare_queries(task, scratch.queries);
    float* states = task.states;
    for (size_t origin = task.begin / kSpan * kSpan; origin < task.end; origin += kSpan) {
        task.kind == Values::kHalf ? attend_span<uint16_t>(task, scratch, origin)
                                   : attend_span<int8_t>(task, scratch, origin);
        if (task.apart || origin <= task.begin) {
            std::copy_n(scratch.state, all, states);
        } else {
            for (size_t i = 0; i < all; i += AttendState::floats(head_dim)) {
                merge_state(scratch.state + i, head_dim, states + i);
            }
        }
        if (task.apart) states += all;
    }
}

void conclude(float* state, size_t later, size_t stride, size_t head_dim, float* out) {
    for (size_t i = 1; i <= later; i++) merge_state(state + i * stride, head_dim, state);
    const f32x8 share = splat(1.0F / state[AttendState::padded(head_dim)]);
    for (size_t d = 0; d < head_dim; d += kLanes) store(out + d, mul(load(state + d), share));
}

}  // namespace
}  // namespace gadfly
