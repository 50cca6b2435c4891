#include "runtime/probe.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <vector>

namespace gadfly {
namespace {

// Eight independent sums of words keep as many loads in flight as the processor can.
uint64_t sum_words(const uint64_t* words, size_t count) {
    uint64_t sums[8] = {};
    for (size_t i = 0; i + 8 <= count; i += 8) {
        for (size_t j = 0; j < 8; j++) sums[j] += words[i + j];
    }
    return sums[0] + sums[1] + sums[2] + sums[3] + sums[4] + sums[5] + sums[6] + sums[7];
}

}  // namespace

double read_bandwidth(ThreadPool& pool, size_t bytes, size_t rounds) {
    const std::vector<uint64_t> memory(bytes / sizeof(uint64_t), 1);
    std::atomic<uint64_t> total{0};  // used, so that reading cannot be optimised away
    double best = 0;
    for (size_t round = 0; round < rounds; round++) {
        const auto began = std::chrono::steady_clock::now();
        pool.run([&](size_t thread) {
            const size_t first = memory.size() * thread / pool.threads();
            const size_t last = memory.size() * (thread + 1) / pool.threads();
            total.fetch_add(sum_words(memory.data() + first, last - first), std::memory_order_relaxed);
        });
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
        best = std::max(best, static_cast<double>(memory.size() * sizeof(uint64_t)) / took.count());
    }
    return total.load() == 0 ? 0 : best;
}

double multiply_rate(const Kernels& kernels, bool floats) {
    double best = 0;
    for (size_t round = 0; round < 10; round++) {
        const auto began = std::chrono::steady_clock::now();
        const size_t products = kernels.exercise(floats, 1U << 20U);
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
        best = std::max(best, static_cast<double>(products) / took.count());
    }
    return best;
}

}  // namespace gadfly
