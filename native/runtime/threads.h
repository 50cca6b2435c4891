// A pool of threads that run one function together, and how they wait for one another.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace gadfly {

// Waiting spins for a moment, as the gap is usually microseconds, then sleeps: on a busy machine, whoever is waited for
// may need this processor.
void wait_until_equal(const std::atomic<size_t>& value, size_t wanted);

// `threads` counts the caller, who works too. One job runs at a time; concurrent callers queue.
class ThreadPool {
  public:
    explicit ThreadPool(size_t threads);
    ~ThreadPool();
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    // Calls job(index) for index 0 … threads-1, each on its own thread, and returns when all are done.
    // The job must not throw.
    void run(const std::function<void(size_t)>& job);

    size_t threads() const { return workers_.size() + 1; }

  private:
    void work(size_t index);

    std::mutex one_job_;
    const std::function<void(size_t)>* job_ = nullptr;
    alignas(64) std::atomic<uint32_t> started_{0};  // jobs so far
    std::atomic<bool> stopping_{false};
    alignas(64) std::atomic<size_t> running_{0};
    std::vector<std::thread> workers_;
};

}  // namespace gadfly
