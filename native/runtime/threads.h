// A pool of threads that run one function together, and how they wait for one another.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace gadfly {

// Waiting spins for a moment, as the gap is usually microseconds, then sleeps: on a busy machine, whoever is waited for
// may need this processor. Whoever makes the value equal has to notify; changes before that need not.
void wait_until_equal(const std::atomic<uint32_t>& value, size_t wanted);

// `threads` counts the caller, who works too. One job runs at a time; concurrent callers queue.
//
// Threads do not survive fork(): in the child, a pool of several made by the parent refuses to run.
class ThreadPool {
  public:
    // Throws std::invalid_argument unless there are 1 to kMost threads, std::system_error if the system has too few.
    explicit ThreadPool(size_t threads);
    ~ThreadPool();
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    // Calls job(index) for index 0 … threads-1, each on its own thread, and returns when all are done.
    // The job must not throw. Throws what check_process does.
    void run(const std::function<void(size_t)>& job);

    // Throws std::runtime_error in a child process. Call it before taking a lock that a fork may have left taken.
    void check_process() const;

    size_t threads() const { return workers_.size() + 1; }

    static constexpr size_t kMost = 1024;

  private:
    void work(size_t index);
    void stop();

    const pid_t process_;
    std::mutex one_job_;
    const std::function<void(size_t)>* job_ = nullptr;
    alignas(64) std::atomic<uint32_t> started_{0};  // jobs so far
    std::atomic<bool> stopping_{false};
    alignas(64) std::atomic<uint32_t> running_{0};
    std::vector<std::thread> workers_;
};

}  // namespace gadfly
