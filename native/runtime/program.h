// A forward pass as a list of instructions over numbered buffers, run by all threads of a pool together.
//
// A program is recorded once per model (by gadfly/ops/native.py) and run for every step, whatever its tokens. Each
// instruction divides its work for the step at hand into units, which threads share out among themselves. Where an
// instruction touches what earlier ones wrote, it waits for their units to be done, not for the other threads: one that
// the operating system holds up before it has taken a unit holds up nobody. Who computes a unit never changes its
// result. Instructions that work row by row and depend on one another become a chain, see runtime/per_row.h.
//
// Nothing is checked here: CheckedProgram is what callers who may be wrong hold.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "formats/size.h"
#include "kernels/kernels.h"
#include "runtime/shares.h"
#include "runtime/step.h"
#include "runtime/threads.h"

namespace gadfly {

// What an instruction sees while it runs.
struct Context {
    const Kernels& kernels;
    const Step& step;
    size_t threads;
    const std::vector<Rows>& buffers;
    std::byte* scratch;  // this thread's
};

class Instruction {
  public:
    virtual ~Instruction() = default;
    virtual void prepare(const Step&, size_t /*threads*/) {}      // before the step, on one thread
    virtual size_t units(const Step&, size_t threads) const = 0;  // how finely the step's work is divided
    virtual size_t scratch_bytes() const { return 0; }            // per thread, for the step prepared
    // On any thread. It has nobody to throw at, so what it needs is allocated in `prepare` or is scratch.
    virtual void run(const Context&, size_t unit) const noexcept = 0;
};

// Memory with rows of this many bytes.
struct Buffer {
    RowsOf rows;
    size_t row_bytes;
    size_t most = SIZE_MAX;  // rows

    size_t bytes(size_t all) const { return product({row_bytes, all < most ? all : most}); }
};

// What an instruction, or a chain of them, has cost: seconds, summed over threads and steps.
struct Cost {
    std::string name;
    double working = 0, waiting = 0;  // until it could begin
};

class Program {
  public:
    explicit Program(const Kernels& kernels) : kernels_(kernels) {}

    size_t add_buffer(Buffer buffer);
    const std::vector<Buffer>& buffers() const { return buffers_; }

    // `reads` and `writes` are what decides which instructions wait: buffers, or any other number for a shared
    // resource. The name is for `costs`.
    void add(std::string name, std::unique_ptr<Instruction> instruction, const std::vector<size_t>& reads,
             const std::vector<size_t>& writes);

    size_t step_bytes(size_t tokens, size_t wanted) const;  // of its buffers

    // From now on, ask for the memory of each step's buffers, aligned to a cache line. Who gets null uses his own.
    void borrow(std::function<std::byte*(size_t bytes)> lender) { lender_ = std::move(lender); }

    // Runs all instructions; `output` receives the rows of buffer `result`. One caller at a time.
    // Throws std::bad_alloc, and what ThreadPool::run does.
    void run(ThreadPool& pool, const Step& step, size_t result, float* output);

    // From now on, look at the clock before and after every instruction.
    void profile() { profiled_ = true; }
    std::vector<Cost> costs() const;  // of all steps since

  private:
    struct Entry {
        std::unique_ptr<Instruction> instruction;
        std::vector<size_t> reads, writes;
        std::vector<size_t> gathered;  // read at rows other than those that a chain is at, so not for it to write
        bool starts_group;  // instructions of a group are independent; a group starts when the one before is done
        Cost cost;

        bool conflicts(const std::vector<size_t>& reading, const std::vector<size_t>& writing) const;
    };
    // A thread's units are published by its addition to `done`, and taken over by whoever waits for `done` to reach
    // `units`: this is all that orders one group after another. Taking units orders nothing.
    struct alignas(kCacheLine) Progress {
        size_t units = 0;
        std::atomic<uint32_t> done{0};
        std::atomic<int64_t> working{0}, waiting{0};  // nanoseconds, where profiled
    };

    std::vector<size_t> conflicting(const std::vector<size_t>& reads, const std::vector<size_t>& writes) const;
    void lay_out(const Step& step, size_t result, float* output);
    void work(size_t thread, const Context& context, Shares& shares, std::vector<Progress>& progress) const noexcept;
    void note_costs(const std::vector<Progress>& progress);

    const Kernels& kernels_;
    std::vector<Buffer> buffers_;
    std::vector<Entry> entries_;
    size_t group_ = 0;  // where the last group starts, while recording
    bool profiled_ = false;
    std::vector<Rows> rows_;
    std::function<std::byte*(size_t)> lender_;
    std::vector<std::byte> arena_, scratch_;  // grow to what the largest step so far needed
};

}  // namespace gadfly
