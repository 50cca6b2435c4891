// Sums of a span's values, each as much as its probability says.
#pragma once

#include "kernels/attention_scratch.h"

namespace gadfly {
namespace {

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

}  // namespace
}  // namespace gadfly
