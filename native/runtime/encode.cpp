#include "runtime/encode.h"

#include <algorithm>
#include <atomic>

namespace gadfly {

bool encode(const Kernels& kernels, ThreadPool& pool, const EncodeTask& task) {
    constexpr size_t kScratch = kEncodeRows * kEncodeColumns;
    std::vector<float> scratch(kScratch * pool.threads());
    std::atomic<size_t> next{0};
    std::atomic<bool> fits{true};
    pool.run([&](size_t thread) {
        EncodeTask tile = task;
        tile.scratch = scratch.data() + thread * kScratch;
        for (size_t row; fits.load() && (row = next.fetch_add(kEncodeRows)) < task.rows;) {
            tile.first_row = task.first_row + row;
            tile.rows = std::min(kEncodeRows, task.rows - row);
            tile.out = task.out + row * task.row_bytes;
            for (size_t column = 0; column < task.matrix_columns; column += kEncodeColumns) {
                tile.first_column = column;
                tile.columns = std::min(kEncodeColumns, task.matrix_columns - column);
                if (!kernels.encode(tile)) fits.store(false);
            }
        }
    });
    return fits.load();
}

}  // namespace gadfly
