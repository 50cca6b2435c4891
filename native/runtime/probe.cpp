#include "runtime/probe.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <iterator>
#include <numeric>
#include <vector>

namespace gadfly {
namespace {

constexpr size_t kLine = 8;     // words that memory hands out together
constexpr size_t kStreams = 4;  // of a thread; one alone, without prefetching, gets two thirds of the rate
constexpr size_t kAhead = 16;   // lines

// Sums as many words as there are whole lines in every stream. Independent sums keep loads in flight.
uint64_t sum_words(const uint64_t* words, size_t count) {
    const size_t part = count / kStreams / kLine * kLine;
    uint64_t sums[kStreams * kLine] = {};
    for (size_t i = 0; i < part; i += kLine) {
        for (size_t stream = 0; stream < kStreams; stream++) {
            const uint64_t* line = words + stream * part + i;
            __builtin_prefetch(line + kAhead * kLine);
            for (size_t j = 0; j < kLine; j++) sums[stream * kLine + j] += line[j];
        }
    }
    return std::accumulate(std::begin(sums), std::end(sums), uint64_t{0});
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
