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

#include <algorithm>
#include <type_traits>

#include "formats/size.h"
#include "kernels/kernels.h"
#include "kernels/wide.h"

namespace gadfly {
namespace {

// Queries and vectors whose sums are in registers together.
#ifdef __AVX512F__
constexpr size_t kTileQueries = 12, kSums = 24;
#else
constexpr size_t kTileQueries = 6, kSums = 6;
#endif
constexpr size_t kDirect = 6;                // up to so many queries read pages as they are
constexpr size_t kPositions = 2 * kWide;     // positions that become floats together
constexpr size_t kScoreRow = kSpan + kWide;  // from a query's scores to the next one's: caches dislike powers of two
constexpr float kLog2E = 1.44269504088896341F;

constexpr size_t vectors_beside(size_t queries) { return std::clamp(kSums / queries, size_t{1}, size_t{4}); }

// Where a task's scratch is what.
struct Scratch {
    float* queries;  // [tile][head_dim][kTileQueries], ready for dot products
    float* scores;   // [query][kScoreRow], then probabilities
    float* floats;   // of kPositions positions: keys [2][head_dim][kWide], then values [kPositions][padded head_dim]
    float* scales;   // of the span's values
    float* state;    // of every query, of the span at hand

    explicit Scratch(const AttendTask& task)
        : queries(task.scratch),
          scores(queries + kQueries * task.head_dim),
          floats(scores + kQueries * kScoreRow),
          scales(floats + kPositions * AttendState::padded(task.head_dim)),
          state(scales + kSpan) {}
};

inline const std::byte* page_at(const std::byte* head, const AttendTask& task, size_t position) {
    return head + static_cast<size_t>(task.pages[position / task.page_size]) * task.page_stride;
}

inline const uint16_t* keys_at(const AttendTask& task, size_t position) {
    return reinterpret_cast<const uint16_t*>(page_at(task.keys, task, position)) + position % task.page_size;
}

template <class Value>
const Value* values_at(const AttendTask& task, size_t position) {
    return reinterpret_cast<const Value*>(page_at(task.values, task, position)) +
           position % task.page_size * task.head_dim;
}

// Calls f(count as a constant, first) for tiles that make up `queries`, none of them beyond one of kTileQueries.
template <class F>
inline void each_tile(size_t queries, F f) {
    for (size_t first = 0; first < queries;) {
        const size_t left = std::min(queries - first, kTileQueries - first % kTileQueries);
        const auto with = [&]<size_t Q>(std::integral_constant<size_t, Q> count) {
            f(count, first);
            first += Q;
        };
        if (left >= kTileQueries) {
            with(std::integral_constant<size_t, kTileQueries>{});
        } else {
            switch (left) {
                case 1: with(std::integral_constant<size_t, 1>{}); break;
                case 2: with(std::integral_constant<size_t, 2>{}); break;
                case 3: with(std::integral_constant<size_t, 3>{}); break;
                case 4: with(std::integral_constant<size_t, 4>{}); break;
                case 5: with(std::integral_constant<size_t, 5>{}); break;
                default: with(std::integral_constant<size_t, 6>{});
            }
        }
    }
}

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

// The scales of values at [begin, end), multiples of sixteen; half floats have none.
void gather_scales(const AttendTask& task, size_t begin, size_t end, float* out) {
    if (task.kind == Values::kHalf) return std::fill(out, out + (end - begin), 1.0F);
    for (size_t at = begin; at < end; at += kWide, out += kWide) {
        const std::byte* codes = page_at(task.values, task, at);
        const auto* scales = reinterpret_cast<const float*>(codes + task.head_dim * task.page_size);
        store(out, load_wide(scales + at % task.page_size));
    }
}

// sums[q] += Σ p · v of `count` positions; values are rows, `stride` apart.
template <size_t Q, size_t N, class Value>
inline void mix(f32wide (&sums)[Q][N], const float* p, const Value* values, size_t stride, size_t count) {
    for (size_t i = 0; i < count; i++, values += stride) {
        f32wide v[N];
#pragma GCC unroll 4
        for (size_t n = 0; n < N; n++) v[n] = load_wide(values + n * kWide);
#pragma GCC unroll 12
        for (size_t q = 0; q < Q; q++) {
            const f32wide x = splat_wide(p[q * kScoreRow + i]);
#pragma GCC unroll 4
            for (size_t n = 0; n < N; n++) sums[q][n] = fma(x, v[n], sums[q][n]);
        }
    }
}

// Calls f(N as a constant, d) for stretches of N times sixteen components, the last ones of one.
template <size_t N, class F>
inline void each_stretch(size_t padded, F f) {
    size_t d = 0;
    for (; d + N * kWide <= padded; d += N * kWide) f(std::integral_constant<size_t, N>{}, d);
    for (; d < padded; d += kWide) f(std::integral_constant<size_t, 1>{}, d);
}

// Σ p · v of positions [begin, end), in the span from `origin` on.
template <class Value>
void mix_few(const AttendTask& task, const Scratch& scratch, size_t origin, size_t begin, size_t end) {
    const size_t padded = AttendState::padded(task.head_dim), floats = AttendState::floats(task.head_dim);
    each_tile(task.queries, [&](auto count, size_t first) {
        constexpr size_t Q = decltype(count)::value;
        each_stretch<vectors_beside(Q)>(padded, [&](auto vectors, size_t d) {
            constexpr size_t N = decltype(vectors)::value;
            f32wide sums[Q][N];
            for (auto& s : sums) std::fill(s, s + N, splat_wide(0));
            for (size_t at = begin; at < end;) {
                const size_t last = std::min(end, (at / task.page_size + 1) * task.page_size);
                mix(sums, scratch.scores + first * kScoreRow + (at - origin), values_at<Value>(task, at) + d,
                    task.head_dim, last - at);
                at = last;
            }
            for (size_t q = 0; q < Q; q++) {
                float* out = scratch.state + (first + q) * floats + d;
                for (size_t n = 0; n < N; n++) store(out + n * kWide, sums[q][n]);
            }
        });
    });
}

// Adds Σ p · v of `count` positions, whose values are floats in scratch, to the states.
void mix_floats(const AttendTask& task, const Scratch& scratch, size_t at, size_t count) {
    const size_t padded = AttendState::padded(task.head_dim), floats = AttendState::floats(task.head_dim);
    each_tile(task.queries, [&](auto queries, size_t first) {
        constexpr size_t Q = decltype(queries)::value;
        each_stretch<vectors_beside(Q)>(padded, [&](auto vectors, size_t d) {
            constexpr size_t N = decltype(vectors)::value;
            float* own = scratch.state + first * floats + d;
            f32wide sums[Q][N];
#pragma GCC unroll 12
            for (size_t q = 0; q < Q; q++) {
#pragma GCC unroll 4
                for (size_t n = 0; n < N; n++) sums[q][n] = load_wide(own + q * floats + n * kWide);
            }
            mix(sums, scratch.scores + first * kScoreRow + at, scratch.floats + d, padded, count);
#pragma GCC unroll 12
            for (size_t q = 0; q < Q; q++) {
#pragma GCC unroll 4
                for (size_t n = 0; n < N; n++) store(own + q * floats + n * kWide, sums[q][n]);
            }
        });
    });
}

template <class Value>
void mix_many(const AttendTask& task, const Scratch& scratch, size_t origin, size_t begin, size_t end) {
    const size_t padded = AttendState::padded(task.head_dim);
    for (size_t q = 0; q < task.queries; q++) {
        std::fill_n(scratch.state + q * AttendState::floats(task.head_dim), padded, 0.0F);
    }
    for (size_t at = begin; at < end; at += kPositions) {
        const size_t count = std::min(kPositions, end - at);
        const Value *from = nullptr, *next = nullptr;
        for (size_t i = 0; i < count; i++, from += task.head_dim, next += task.head_dim) {
            if (i % kWide == 0) {
                from = values_at<Value>(task, at + i);
                next = values_at<Value>(task, std::min(at + i + kPositions, end - 1));
            }
            float* to = scratch.floats + i * padded;
            for (size_t d = 0; d < padded; d += kWide) {
                if (d * sizeof(Value) % kCacheLine == 0) __builtin_prefetch(next + d);
                store(to + d, load_wide(from + d));
            }
        }
        mix_floats(task, scratch, at - origin, count);
    }
}

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
