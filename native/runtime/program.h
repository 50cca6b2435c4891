// A forward pass as a list of instructions over numbered buffers, run by all threads of a pool together.
//
// A program is recorded once per model (by gadfly/ops/native.py) and run for every step, whatever its tokens. Each
// instruction divides its work for the step at hand into units, which threads take from a shared counter. Where an
// instruction touches what earlier ones wrote, it waits for their units to be done, not for the other threads: one that
// the operating system holds up between two units holds up nobody. Who computes a unit never changes its result.
//
// Nothing is checked here: CheckedProgram is what callers who may be wrong hold.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "formats/size.h"
#include "kernels/kernels.h"
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
};

class Program {
  public:
    explicit Program(const Kernels& kernels) : kernels_(kernels) {}

    size_t add_buffer(Buffer buffer);
    const std::vector<Buffer>& buffers() const { return buffers_; }

    // `reads` and `writes` are what decides which instructions wait: buffers, or any other number for a shared
    // resource.
    void add(std::unique_ptr<Instruction> instruction, const std::vector<size_t>& reads,
             const std::vector<size_t>& writes);

    // Runs all instructions; `output` receives the rows of buffer `result`. One caller at a time.
    // Throws std::bad_alloc, and what ThreadPool::run does.
    void run(ThreadPool& pool, const Step& step, size_t result, float* output);

  private:
    struct Entry {
        std::unique_ptr<Instruction> instruction;
        bool starts_group;  // instructions of a group are independent; a group starts when the one before is done
    };
    // A unit's writes are published by its increment of `done`, and taken over by whoever waits for `done` to reach
    // `units`: this is all that orders one group after another. `taken` hands out numbers and orders nothing.
    struct alignas(kCacheLine) Progress {
        size_t units = 0;
        std::atomic<size_t> taken{0}, done{0};
    };

    void lay_out(const Step& step, size_t result, float* output);
    void work(const Context& context, std::vector<Progress>& progress) const noexcept;

    const Kernels& kernels_;
    std::vector<Buffer> buffers_;
    std::vector<Entry> entries_;
    std::vector<size_t> dirty_reads_, dirty_writes_;  // of the last group, while recording
    std::vector<Rows> rows_;
    std::vector<std::byte> arena_, scratch_;  // grow to what the largest step so far needed
};

}  // namespace gadfly
