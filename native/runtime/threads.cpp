#include "runtime/threads.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace gadfly {
namespace {

constexpr int kSpins = 4000;  // some ten microseconds

void pause() {
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// Returns when ready(value) holds.
template <class T, class Ready>
void wait_until(const std::atomic<T>& value, Ready ready) {
    for (int spin = 0; spin < kSpins; spin++) {
        if (ready(value.load(std::memory_order_acquire))) return;
        pause();
    }
    for (T seen; !ready(seen = value.load(std::memory_order_acquire));) value.wait(seen, std::memory_order_acquire);
}

}  // namespace

void wait_until_equal(const std::atomic<size_t>& value, size_t wanted) {
    wait_until(value, [wanted](size_t now) { return now == wanted; });
}

ThreadPool::ThreadPool(size_t threads) {
    for (size_t index = 1; index < threads; index++) workers_.emplace_back([this, index] { work(index); });
}

ThreadPool::~ThreadPool() {
    stopping_.store(true, std::memory_order_relaxed);
    started_.fetch_add(1, std::memory_order_release);
    started_.notify_all();
    for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run(const std::function<void(size_t)>& job) {
    const std::scoped_lock lock(one_job_);
    job_ = &job;
    running_.store(workers_.size(), std::memory_order_relaxed);
    started_.fetch_add(1, std::memory_order_release);
    started_.notify_all();
    job(0);
    wait_until_equal(running_, 0);
}

void ThreadPool::work(size_t index) {
    for (uint32_t seen = 0;; seen++) {
        wait_until(started_, [seen](uint32_t now) { return now != seen; });
        if (stopping_.load(std::memory_order_relaxed)) return;
        (*job_)(index);
        if (running_.fetch_sub(1, std::memory_order_acq_rel) == 1) running_.notify_one();
    }
}

}  // namespace gadfly
