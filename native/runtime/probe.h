// How fast this machine reads memory: what decoding is measured against.
#pragma once

#include <cstddef>

#include "runtime/threads.h"

namespace gadfly {

// Bytes per second that the pool's threads read together from `bytes` of memory, the best of `rounds` passes.
// Throws std::bad_alloc.
double read_bandwidth(ThreadPool& pool, size_t bytes, size_t rounds);

}  // namespace gadfly
