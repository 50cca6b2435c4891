// A forward pass as a list of instructions over numbered buffers, run by all threads of a pool together.
//
// A program is recorded once per model (by gadfly/ops/native.py) and run for every step, whatever its tokens. Each
// instruction divides its work for the step at hand into units, which threads take from a shared counter. Where an
// instruction touches what earlier ones wrote, it waits for their units to be done, not for the other threads: one that
// the operating system holds up between two units holds up nobody. Who computes a unit never changes its result.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "kernels/kernels.h"
#include "runtime/threads.h"

namespace gadfly {

// The batch of one step: see gadfly/batch.py for the meaning of the arrays.
struct Step {
    std::span<const int32_t> tokens, positions, starts, page_ids, page_starts, wanted;
};

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
    virtual void prepare(const Step&, size_t /*threads*/) {}       // before the step, on one thread
    virtual size_t units(const Step&, size_t threads) const = 0;   // how finely the step's work is divided
    virtual size_t scratch_bytes(const Step&) const { return 0; }  // per thread
    virtual void run(const Context&, size_t unit) const = 0;
};

enum class RowsOf : uint8_t { kTokens, kWanted };  // a buffer has a row per token, or per token whose logits are wanted

class Program {
  public:
    explicit Program(const Kernels& kernels) : kernels_(kernels) {}

    size_t add_buffer(RowsOf rows, size_t row_bytes);

    // `reads` and `writes` are what decides which instructions wait: buffers, or any other number for a shared
    // resource.
    void add(std::unique_ptr<Instruction> instruction, std::vector<size_t> reads, std::vector<size_t> writes);

    // Runs all instructions; `output` receives the rows of buffer `result`.
    void run(ThreadPool& pool, const Step& step, size_t result, float* output);

  private:
    struct Buffer {
        RowsOf rows;
        size_t row_bytes;
    };
    struct Entry {
        std::unique_ptr<Instruction> instruction;
        bool starts_group;  // instructions of a group are independent; a group starts when the one before is done
    };
    struct alignas(64) Progress {
        size_t units = 0;
        std::atomic<size_t> taken{0}, done{0};
    };

    void lay_out(const Step& step, size_t result, float* output);
    void work(const Context& context, std::vector<Progress>& progress) const;

    const Kernels& kernels_;
    std::vector<Buffer> buffers_;
    std::vector<Entry> entries_;
    std::vector<size_t> dirty_reads_, dirty_writes_;  // of the last group, while recording
    std::vector<Rows> rows_;
    std::vector<std::byte> arena_, scratch_;
};

}  // namespace gadfly
