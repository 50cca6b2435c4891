// What attention works in and on: scratch memory, pages of the cache, tiles of queries.
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

}  // namespace
}  // namespace gadfly
