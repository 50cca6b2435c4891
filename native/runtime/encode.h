// A matrix of weights into blocks of a format, by all threads of a pool.
#pragma once

#include "kernels/kernels.h"
#include "runtime/threads.h"

namespace gadfly {

// `task` describes the matrix and where its encoding goes; its rows [first_row, first_row + rows) and all of its
// columns are encoded, tile by tile. Threads share nothing and no tile depends on another, so the bytes do not depend
// on their number. False if a weight is no number or too large for the format: what was written then means nothing.
// Throws what ThreadPool::run does, and std::bad_alloc.
bool encode(const Kernels& kernels, ThreadPool& pool, const EncodeTask& task);

}  // namespace gadfly
