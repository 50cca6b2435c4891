#include "runtime/threads.h"

#include <unistd.h>

#include <stdexcept>

#include "runtime/require.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace gadfly {
namespace {

// A pause takes 40 to 140 cycles. Within a job whoever is waited for is nearly done, or has been stopped by the system,
// and then wants this processor; between the steps of an answer its next token is chosen and shown.
constexpr int kSpinsInJob = 4000;         // 50 to 200 µs
constexpr int kSpinsBetweenJobs = 20000;  // 0.25 to 1 ms

void pause() {
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// Returns when ready(value) holds. Acquires what was released by the writes that made it so.
template <class T, class Ready>
void wait_until(const std::atomic<T>& value, int spins, Ready ready) {
    for (int spin = 0; spin < spins; spin++) {
        if (ready(value.load(std::memory_order_acquire))) return;
        pause();
    }
    for (T seen; !ready(seen = value.load(std::memory_order_acquire));) value.wait(seen, std::memory_order_acquire);
}

}  // namespace

void wait_until_equal(const std::atomic<uint32_t>& value, size_t wanted) {
    wait_until(value, kSpinsInJob, [wanted](uint32_t now) { return now == wanted; });
}

ThreadPool::ThreadPool(size_t threads) : process_(getpid()) {
    require(0 < threads && threads <= kMost, "a pool has 1 to 1024 threads");
    workers_.reserve(threads - 1);
    try {
        for (size_t index = 1; index < threads; index++) workers_.emplace_back([this, index] { work(index); });
    } catch (...) {
        stop();
        throw;
    }
}

ThreadPool::~ThreadPool() {
    if (getpid() == process_) {
        stop();
    } else {  // there is nobody to join, and a handle may neither be joined nor destroyed: leave them
        new std::vector<std::thread>(std::move(workers_));
    }
}

void ThreadPool::check_process() const {
    if (!workers_.empty() && getpid() != process_) {
        throw std::runtime_error(
            "threads do not survive fork(): load the model in this process, or start it by 'spawn' instead");
    }
}

void ThreadPool::run(const std::function<void(size_t)>& job) {
    check_process();
    const std::scoped_lock lock(one_job_);
    job_ = &job;
    running_.store(static_cast<uint32_t>(workers_.size()), std::memory_order_relaxed);
    started_.fetch_add(1, std::memory_order_release);  // publishes job_ and running_
    started_.notify_all();
    job(0);
    wait_until_equal(running_, 0);
}

// No job is missed: the next one starts only after every worker has finished this one.
void ThreadPool::work(size_t index) {
    for (uint32_t seen = 0;; seen++) {
        wait_until(started_, kSpinsBetweenJobs, [seen](uint32_t now) { return now != seen; });
        if (stopping_.load(std::memory_order_relaxed)) return;
        (*job_)(index);
        if (running_.fetch_sub(1, std::memory_order_acq_rel) == 1) running_.notify_one();
    }
}

void ThreadPool::stop() {
    stopping_.store(true, std::memory_order_relaxed);
    started_.fetch_add(1, std::memory_order_release);  // publishes stopping_
    started_.notify_all();
    for (std::thread& worker : workers_) worker.join();
}

}  // namespace gadfly
