// How fast this machine reads memory, and multiplies: what decoding and kernels are measured against.
#pragma once

#include <cstddef>

#include "kernels/kernels.h"
#include "runtime/threads.h"

namespace gadfly {

// Bytes per second that the pool's threads read together from `bytes` of memory, the best of `rounds` passes.
// Throws std::bad_alloc.
double read_bandwidth(ThreadPool& pool, size_t bytes, size_t rounds);

// Products per second that one thread computes from registers: the best of ten tries.
double multiply_rate(const Kernels& kernels, bool floats);

}  // namespace gadfly
