#include "runtime/program.h"

#include <algorithm>

namespace gadfly {
namespace {

bool overlap(const std::vector<size_t>& a, const std::vector<size_t>& b) {
    return std::any_of(a.begin(), a.end(), [&](size_t x) { return std::find(b.begin(), b.end(), x) != b.end(); });
}

// At least `bytes` of `memory` from a cache line on. What it held is lost.
std::byte* room(std::vector<std::byte>& memory, size_t bytes) {
    const size_t needed = sum(bytes, kCacheLine - 1);
    if (memory.size() < needed) {
        memory = {};  // first, so that old and new never exist together
        memory.resize(needed);
    }
    const auto address = reinterpret_cast<uintptr_t>(memory.data());
    return memory.data() + (whole_lines(address) - address);
}

}  // namespace

size_t Program::add_buffer(Buffer buffer) {
    buffers_.push_back(buffer);
    return buffers_.size() - 1;
}

void Program::add(std::unique_ptr<Instruction> instruction, const std::vector<size_t>& reads,
                  const std::vector<size_t>& writes) {
    const bool conflict =
        overlap(reads, dirty_writes_) || overlap(writes, dirty_writes_) || overlap(writes, dirty_reads_);
    if (conflict) {
        dirty_reads_.clear();
        dirty_writes_.clear();
    }
    dirty_reads_.insert(dirty_reads_.end(), reads.begin(), reads.end());
    dirty_writes_.insert(dirty_writes_.end(), writes.begin(), writes.end());
    entries_.push_back({std::move(instruction), conflict});
}

void Program::lay_out(const Step& step, size_t result, float* output) {
    std::vector<size_t> offsets;
    size_t total = 0;
    for (size_t b = 0; b < buffers_.size(); b++) {
        offsets.push_back(total);
        if (b == result) continue;
        total = sum(total, whole_lines(product({buffers_[b].row_bytes, step.rows(buffers_[b].rows)})));
    }
    std::byte* base = room(arena_, total);
    rows_.clear();
    for (size_t b = 0; b < buffers_.size(); b++) rows_.push_back({base + offsets[b], buffers_[b].row_bytes});
    rows_[result].data = reinterpret_cast<std::byte*>(output);
}

void Program::run(ThreadPool& pool, const Step& step, size_t result, float* output) {
    lay_out(step, result, output);
    const size_t threads = pool.threads();
    size_t scratch = 0;
    std::vector<Progress> progress(entries_.size());
    for (size_t i = 0; i < entries_.size(); i++) {
        Instruction& instruction = *entries_[i].instruction;
        instruction.prepare(step, threads);
        scratch = std::max(scratch, whole_lines(instruction.scratch_bytes()));
        progress[i].units = instruction.units(step, threads);
    }
    std::byte* base = room(scratch_, product({scratch, threads}));
    pool.run([&](size_t thread) { work({kernels_, step, threads, rows_, base + thread * scratch}, progress); });
}

void Program::work(const Context& context, std::vector<Progress>& progress) const noexcept {
    size_t group = 0;  // the first instruction of the group at hand
    for (size_t i = 0; i < entries_.size(); i++) {
        if (entries_[i].starts_group) {
            for (; group < i; group++) wait_until_equal(progress[group].done, progress[group].units);
        }
        Progress& own = progress[i];
        for (size_t unit; (unit = own.taken.fetch_add(1, std::memory_order_relaxed)) < own.units;) {
            entries_[i].instruction->run(context, unit);
            if (own.done.fetch_add(1, std::memory_order_acq_rel) + 1 == own.units) own.done.notify_all();
        }
    }
}

}  // namespace gadfly
