#include "runtime/program.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "runtime/per_row.h"

namespace gadfly {
namespace {

bool overlap(const std::vector<size_t>& a, const std::vector<size_t>& b) {
    return std::any_of(a.begin(), a.end(), [&](size_t x) { return std::find(b.begin(), b.end(), x) != b.end(); });
}

int64_t nanoseconds() { return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1); }

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

bool Program::Entry::conflicts(const std::vector<size_t>& reading, const std::vector<size_t>& writing) const {
    return overlap(reading, writes) || overlap(writing, writes) || overlap(writing, reads);
}

// Entries of the last group that an instruction with these operands would have to wait for.
std::vector<size_t> Program::conflicting(const std::vector<size_t>& reads, const std::vector<size_t>& writes) const {
    std::vector<size_t> found;
    for (size_t i = group_; i < entries_.size(); i++) {
        if (entries_[i].conflicts(reads, writes)) found.push_back(i);
    }
    return found;
}

void Program::add(std::string name, std::unique_ptr<Instruction> instruction, const std::vector<size_t>& reads,
                  const std::vector<size_t>& writes) {
    const std::vector<size_t> before = conflicting(reads, writes);
    std::vector<size_t> gathered;
    if (dynamic_cast<RowWise*>(instruction.get()) != nullptr) {
        std::unique_ptr<RowWise> link(static_cast<RowWise*>(instruction.release()));
        if (link->place() == Place::kFirst) gathered = reads;
        const auto takes = [&](size_t i) {
            const auto* chain = dynamic_cast<const Chain*>(entries_[i].instruction.get());
            return chain != nullptr && chain->takes(*link) && !overlap(writes, entries_[i].gathered);
        };
        if (before.size() == 1 && takes(before.front())) {
            Entry& entry = entries_[before.front()];
            static_cast<Chain&>(*entry.instruction).append(std::move(link));
            entry.cost.name += " + " + name;
            entry.reads.insert(entry.reads.end(), reads.begin(), reads.end());
            entry.writes.insert(entry.writes.end(), writes.begin(), writes.end());
            return;
        }
        instruction = std::make_unique<Chain>(std::move(link));
    }
    if (!before.empty()) group_ = entries_.size();
    entries_.push_back({std::move(instruction), reads, writes, gathered, !before.empty(), {std::move(name)}});
}

size_t Program::step_bytes(size_t tokens, size_t wanted) const {
    size_t total = 0;
    for (const Buffer& buffer : buffers_) {
        const size_t rows = buffer.rows == RowsOf::kTokens ? tokens : wanted;
        total = sum(total, whole_lines(buffer.bytes(rows)));
    }
    return total;
}

void Program::lay_out(const Step& step, size_t result, float* output) {
    std::vector<size_t> offsets;
    size_t total = 0;
    for (size_t b = 0; b < buffers_.size(); b++) {
        offsets.push_back(total);
        if (b == result) continue;
        total = sum(total, whole_lines(buffers_[b].bytes(step.rows(buffers_[b].rows))));
    }
    std::byte* base = lender_ ? lender_(total) : nullptr;
    if (base == nullptr) base = room(arena_, total);
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
    Shares shares(threads);
    std::byte* base = room(scratch_, product({scratch, threads}));
    pool.run([&](size_t thread) {
        work(thread, {kernels_, step, threads, rows_, base + thread * scratch}, shares, progress);
    });
    if (profiled_) note_costs(progress);
}

void Program::work(size_t thread, const Context& context, Shares& shares,
                   std::vector<Progress>& progress) const noexcept {
    size_t group = 0;  // the first instruction of the group at hand
    int64_t since = profiled_ ? nanoseconds() : 0;
    const auto lap = [&](std::atomic<int64_t>& total) {
        if (!profiled_) return;
        const int64_t now = nanoseconds();
        total.fetch_add(now - std::exchange(since, now), std::memory_order_relaxed);
    };
    for (size_t i = 0; i < entries_.size(); i++) {
        Progress& own = progress[i];
        if (entries_[i].starts_group) {
            for (; group < i; group++) wait_until_equal(progress[group].done, progress[group].units);
        }
        lap(own.waiting);
        uint32_t done = 0;
        while (const auto unit = shares.take(thread, static_cast<uint32_t>(i + 1), own.units)) {
            entries_[i].instruction->run(context, *unit);
            done++;
        }
        if (done > 0 && own.done.fetch_add(done, std::memory_order_acq_rel) + done == own.units) own.done.notify_all();
        lap(own.working);
    }
}

void Program::note_costs(const std::vector<Progress>& progress) {
    for (size_t i = 0; i < entries_.size(); i++) {
        entries_[i].cost.working += static_cast<double>(progress[i].working.load()) * 1e-9;
        entries_[i].cost.waiting += static_cast<double>(progress[i].waiting.load()) * 1e-9;
    }
}

std::vector<Cost> Program::costs() const {
    std::vector<Cost> found;
    for (const Entry& entry : entries_) found.push_back(entry.cost);
    return found;
}

}  // namespace gadfly
