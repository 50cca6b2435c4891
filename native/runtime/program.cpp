#include "runtime/program.h"

#include <algorithm>

namespace gadfly {
namespace {

constexpr size_t kAlignment = 64;

size_t aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

bool overlap(const std::vector<size_t>& a, const std::vector<size_t>& b) {
    return std::any_of(a.begin(), a.end(), [&](size_t x) { return std::find(b.begin(), b.end(), x) != b.end(); });
}

}  // namespace

size_t Program::add_buffer(RowsOf rows, size_t row_bytes) {
    buffers_.push_back({rows, row_bytes});
    return buffers_.size() - 1;
}

void Program::add(std::unique_ptr<Instruction> instruction, std::vector<size_t> reads, std::vector<size_t> writes) {
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
    rows_.clear();
    size_t total = kAlignment;
    std::vector<size_t> offsets;
    for (const Buffer& buffer : buffers_) {
        offsets.push_back(total);
        total += aligned(buffer.row_bytes * (buffer.rows == RowsOf::kTokens ? step.tokens.size() : step.wanted.size()));
    }
    if (arena_.size() < total) arena_ = std::vector<std::byte>(total);
    auto* base = reinterpret_cast<std::byte*>(aligned(reinterpret_cast<size_t>(arena_.data())));
    for (size_t b = 0; b < buffers_.size(); b++)
        rows_.push_back({base + offsets[b] - kAlignment, buffers_[b].row_bytes});
    rows_[result].data = reinterpret_cast<std::byte*>(output);
}

void Program::run(ThreadPool& pool, const Step& step, size_t result, float* output) {
    lay_out(step, result, output);
    size_t scratch = kAlignment;
    for (Entry& entry : entries_) {
        entry.instruction->prepare(step, pool.threads());
        scratch = std::max(scratch, aligned(entry.instruction->scratch_bytes(step)));
    }
    if (scratch_.size() < scratch * pool.threads()) scratch_ = std::vector<std::byte>(scratch * pool.threads());
    std::vector<Progress> progress(entries_.size());
    for (size_t i = 0; i < entries_.size(); i++)
        progress[i].units = entries_[i].instruction->units(step, pool.threads());

    pool.run([&](size_t thread) {
        work({kernels_, step, pool.threads(), rows_, scratch_.data() + thread * scratch}, progress);
    });
}

void Program::work(const Context& context, std::vector<Progress>& progress) const {
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
