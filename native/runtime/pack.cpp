#include "runtime/pack.h"

#include <algorithm>
#include <atomic>

namespace gadfly {
namespace {

constexpr size_t kRows = 8 * kStrip;  // of a unit: enough to be worth taking

// use(begin, end) for stretches of [first, first + count), cut at multiples of `unit`, by whoever is free.
template <class Use>
void share(ThreadPool& pool, size_t first, size_t count, size_t unit, Use use) {
    const size_t end = first + count;
    std::atomic<size_t> next{first / unit};
    pool.run([&](size_t) {
        for (size_t begin; (begin = unit * next.fetch_add(1, std::memory_order_relaxed)) < end;) {
            use(std::max(begin, first), std::min(begin + unit, end));
        }
    });
}

}  // namespace

void fill(ThreadPool& pool, PackedMatrix& matrix, size_t first, size_t count, const uint8_t* blocks) {
    const size_t row_bytes = file_row_bytes(matrix.layout(), matrix.columns());
    share(pool, first, count, kRows,
          [&](size_t begin, size_t end) { matrix.fill(begin, end - begin, blocks + (begin - first) * row_bytes); });
}

void fill_transposed(ThreadPool& pool, PackedMatrix& matrix, const int8_t* codes, const uint16_t* scales,
                     size_t groups) {
    share(pool, 0, matrix.columns() / kTile, 1,
          [&](size_t begin, size_t end) { matrix.fill_transposed(begin, end - begin, codes, scales, groups); });
}

}  // namespace gadfly
