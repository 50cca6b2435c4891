// Who takes which unit of an instruction: every thread has a stretch of its own, and who is done helps the others.
//
// Neighbouring units read neighbouring weights, so a thread that keeps to its stretch reads memory in order, and its
// cursor stays in its own cache. Stealing is for tails, and for threads that the system has stopped.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "formats/size.h"

namespace gadfly {

// For instructions with ascending numbers, from 1 to 2^32 - 1. A thread may turn to the next one only after `take` has
// told it, or somebody else, that all units of this one have been taken.
class Shares {
  public:
    explicit Shares(size_t threads) : cursors_(threads) {}

    // A unit below `units`, which is below 2^32, that nobody has taken yet; none if there is none left.
    std::optional<size_t> take(size_t thread, uint32_t instruction, size_t units) {
        const size_t threads = cursors_.size();
        for (size_t i = 0; i < threads; i++) {
            const size_t owner = thread + i < threads ? thread + i : thread + i - threads;
            if (const auto unit = take_from(owner, instruction, units)) return unit;
        }
        return std::nullopt;
    }

  private:
    // Instruction and next unit in one word, as whoever comes first turns it to the next instruction.
    struct alignas(kCacheLine) Cursor {
        std::atomic<uint64_t> word{0};
    };

    std::optional<size_t> take_from(size_t owner, uint32_t instruction, size_t units) {
        const size_t begin = units * owner / cursors_.size(), end = units * (owner + 1) / cursors_.size();
        std::atomic<uint64_t>& word = cursors_[owner].word;
        for (uint64_t seen = word.load(std::memory_order_relaxed);;) {
            const uint64_t at = seen >> 32;
            if (at > instruction) return std::nullopt;  // others have turned to the next: there was nothing left
            const size_t next = at < instruction ? begin : seen & UINT32_MAX;
            if (next == end) return std::nullopt;
            const uint64_t taken = uint64_t{instruction} << 32 | (next + 1);
            if (word.compare_exchange_weak(seen, taken, std::memory_order_relaxed)) return next;
        }
    }

    std::vector<Cursor> cursors_;
};

}  // namespace gadfly
