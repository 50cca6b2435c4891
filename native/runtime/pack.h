// Weights as files hold them into packed matrices, by all threads of a pool. What packing is: formats/tiles.h.
#pragma once

#include "formats/tiles.h"
#include "runtime/threads.h"

namespace gadfly {

// As PackedMatrix::fill and all of PackedMatrix::fill_transposed. Threads share no strip and no tile, so the bytes do
// not depend on their number. Throw what ThreadPool::run does.
void fill(ThreadPool& pool, PackedMatrix& matrix, size_t first, size_t count, const uint8_t* blocks);
void fill_transposed(ThreadPool& pool, PackedMatrix& matrix, const int8_t* codes, const uint16_t* scales,
                     size_t groups);

}  // namespace gadfly
