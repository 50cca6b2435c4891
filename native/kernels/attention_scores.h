// Scores of queries with a span's keys, and what becomes of them: probabilities, up to a common factor.
#pragma once

#include "kernels/attention_scratch.h"

namespace gadfly {
namespace {

// Queries are scaled once, so that scores need not be: into powers of two, unless there is a cap before.
void prepare_queries(const AttendTask& task, float* out) {
    for (size_t q = 0; q < task.queries; q++) {
        const float factor = task.softcap > 0 ? task.scale : task.scale * (task.temperature[q] * kLog2E);
        float* own = out + q / kTileQueries * kTileQueries * task.head_dim + q % kTileQueries;
        for (size_t d = 0; d < task.head_dim; d++) own[d * kTileQueries] = task.query[q][d] * factor;
    }
}

// The dot products of Q queries with the keys of N times sixteen positions; keys[n] are rows, `stride` apart. Calls
// ahead(d) in between, for what should be fetched meanwhile.
template <size_t Q, size_t N, class Key, class Ahead>
inline void score(const float* query, const Key* const (&keys)[N], size_t stride, size_t head_dim, float* out,
                  Ahead ahead) {
    f32wide acc[Q][N];
#pragma GCC unroll 12
    for (size_t q = 0; q < Q; q++) {
#pragma GCC unroll 4
        for (size_t n = 0; n < N; n++) acc[q][n] = splat_wide(0);
    }
    for (size_t d = 0; d < head_dim; d++) {
        ahead(d);
        f32wide k[N];
#pragma GCC unroll 4
        for (size_t n = 0; n < N; n++) k[n] = load_wide(keys[n] + d * stride);
#pragma GCC unroll 12
        for (size_t q = 0; q < Q; q++) {
            const f32wide x = splat_wide(query[d * kTileQueries + q]);
#pragma GCC unroll 4
            for (size_t n = 0; n < N; n++) acc[q][n] = fma(x, k[n], acc[q][n]);
        }
    }
#pragma GCC unroll 12
    for (size_t q = 0; q < Q; q++) {
#pragma GCC unroll 4
        for (size_t n = 0; n < N; n++) store(out + q * kScoreRow + n * kWide, acc[q][n]);
    }
}

// Meanwhile the values of these positions are fetched, and the keys of the next ones.
template <size_t Q, size_t N>
inline void score_pages(const AttendTask& task, const float* query, size_t position, float* out) {
    const size_t value_bytes = task.kind == Values::kHalf ? 2 : 1;
    const uint16_t *keys[N], *next[N];
    const std::byte* values[N];
    for (size_t n = 0; n < N; n++) {
        const size_t own = position + n * kWide;
        keys[n] = keys_at(task, own);
        next[n] = keys_at(task, std::min(own + N * kWide, task.end - 1));
        values[n] = page_at(task.values, task, own) + own % task.page_size * task.head_dim * value_bytes;
    }
    score<Q, N>(query, keys, task.page_size, task.head_dim, out, [&](size_t d) {
        if (d % 2 != 0) return;
#pragma GCC unroll 4
        for (size_t n = 0; n < N; n++) {
            __builtin_prefetch(next[n] + d * task.page_size);
            __builtin_prefetch(values[n] + d * kWide * value_bytes);
        }
    });
}

// Scores of positions [begin, end), multiples of sixteen in the span from `origin` on.
void score_few(const AttendTask& task, const Scratch& scratch, size_t origin, size_t begin, size_t end) {
    each_tile(task.queries, [&](auto count, size_t first) {
        constexpr size_t Q = decltype(count)::value, N = vectors_beside(Q);
        float* out = scratch.scores + first * kScoreRow;
        const float* query = scratch.queries + first;  // all in one tile
        size_t at = begin;
        for (; at + N * kWide <= end; at += N * kWide) score_pages<Q, N>(task, query, at, out + (at - origin));
        for (; at < end; at += kWide) score_pages<Q, 1>(task, query, at, out + (at - origin));
    });
}

void score_many(const AttendTask& task, const Scratch& scratch, size_t origin, size_t begin, size_t end) {
    for (size_t at = begin; at < end; at += kPositions) {
        const size_t vectors = std::min(kPositions, end - at) / kWide;
        const float* const keys[2] = {scratch.floats, scratch.floats + kWide * task.head_dim};
        for (size_t n = 0; n < vectors; n++) {
            const size_t position = at + n * kWide;
            const uint16_t *from = keys_at(task, position),
                           *next = keys_at(task, std::min(position + kPositions, end - 1));
            float* to = scratch.floats + n * kWide * task.head_dim;
            for (size_t d = 0; d < task.head_dim; d++) {
                __builtin_prefetch(next + d * task.page_size);
                store(to + d * kWide, load_wide(from + d * task.page_size));
            }
        }
        each_tile(task.queries, [&](auto count, size_t first) {
            constexpr size_t Q = decltype(count)::value, N = std::min(vectors_beside(Q), size_t{2});
            const float* query =
                scratch.queries + first / kTileQueries * kTileQueries * task.head_dim + first % kTileQueries;
            float* out = scratch.scores + first * kScoreRow + (at - origin);
            if constexpr (N == 2) {
                if (vectors == 2) return score<Q, 2>(query, keys, kWide, task.head_dim, out, [](size_t) {});
            }
            for (size_t n = 0; n < vectors; n++) {
                const float* const one[] = {keys[n]};
                score<Q, 1>(query, one, kWide, task.head_dim, out + n * kWide, [](size_t) {});
            }
        });
    }
}

// Scores [begin, end) become powers of two over the largest one, zero outside [first, last), times these scales.
void exponentiate(float* scores, size_t begin, size_t end, size_t first, size_t last, const float* scales, float* top,
                  float* total) {
    first = std::clamp(first, begin, end);
    last = std::clamp(last, begin, end);
    std::fill(scores + begin, scores + first, -INFINITY);
    std::fill(scores + last, scores + end, -INFINITY);
    f32wide largest = splat_wide(-INFINITY);
    for (size_t i = begin; i < end; i += kWide) largest = max(load_wide(scores + i), largest);
    *top = max_lane(largest);
    if (first >= last) return std::fill(scores + begin, scores + end, *total = 0);
    const f32wide most = splat_wide(*top);
    f32wide all = splat_wide(0);
    for (size_t i = begin; i < end; i += kWide) {
        const f32wide p = exp2(sub(load_wide(scores + i), most));
        store(scores + i, mul(p, load_wide(scales + i)));
        all = add(all, p);
    }
    *total = sum(all);
}

void cap(float* scores, size_t begin, size_t end, float softcap, float factor) {
    for (size_t i = begin; i < end; i += kLanes) {
        store(scores + i, mul(softcapped(load(scores + i), softcap), splat(factor)));
    }
}

}  // namespace
}  // namespace gadfly
