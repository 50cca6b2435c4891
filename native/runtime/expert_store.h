// Experts that stay on disk: a bounded arena that they are read into once a router has named them, and nothing else.
//
//     files    a matrix of an expert is whole pages, wherever it lies, packed   ExpertStack: offsets
//              as kernels read it; or rows as model files hold them, which
//              readers pack, and that takes longer than reading them            ExpertStack: filed
//     arena    pools of slots, a slot holds one matrix; gates, ups and downs     ExpertStore: pools
//              have pools of their own, as a layer needs all its gates first
//     loan     the end of the arena, for the buffers of a step while it runs     ExpertStore: lend
//     readers  threads that read slices past the system's cache, in the order in which they are going to be needed
//
// A step's layer begins with `fetch`: experts in memory come first in its order, those that have to be read follow.
// Whoever computes waits for the expert at hand alone, and gives its slots back when all of it is computed; there the
// next one is read. So two slots of each pool are enough for any layer, and more of them save reading. Pools go in
// step: an expert has a slot in all of them or in none.
//
// Who stays in memory is decided by how often experts have been wanted lately, not by when they were: layers follow one
// another in circles, and what was used longest ago is what comes next. Among equals the latest makes room.
//
// A model without experts has stacks of one matrix, which every step needs, one after the other. It begins with
// `fetch_all`: the first slots of a pool are a ring, through which matrices pass in their order, each read while the
// one before is computed; the others have a home of their own among the remaining slots, and stay.
//
// A long prompt wants much room for its buffers, seldom; buffers of their own would take it from experts all the time.
//
// What is read never changes what is computed: sums run in the order of the router. A read that fails leaves its expert
// out, and whoever runs the step hears of it when it ends.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "formats/tiles.h"

namespace gadfly {

class ExpertStore;

// A matrix of every expert of a layer. It is the store's, and so is what is not const.
struct ExpertStack {
    ExpertStore& store;
    const Layout layout;
    const size_t rows, columns, pool;
    const std::vector<uint64_t> offsets;  // of each expert's matrix in its file
    const std::vector<size_t> files;      // which that is, by number
    const bool filed;                     // rows lie there as model files hold them

    enum State : uint32_t { kAbsent, kAwaited, kPresent, kFailed };
    std::vector<size_t> order;                        // of the layer at hand: its experts, those in memory first
    std::unique_ptr<std::atomic<uint32_t>[]> states;  // by expert
    std::vector<size_t> slots;                        // by expert, of those that are awaited or present
    std::vector<double> use;                          // by expert: share of recent steps that wanted it
    std::vector<int64_t> worth;                       // the same, rounded, so that equals are equal
    double known = 0;                                 // share of an average over all times that steps so far cover
    size_t home = 0;                                  // slot of its own, if it is one matrix and has any

    size_t bytes() const { return packed_bytes(layout, rows, columns); }
    size_t bytes_read() const;  // of its file, for one matrix
    size_t slice() const;       // bytes of them that are read at once
};
using SharedStack = std::shared_ptr<ExpertStack>;  // keeps the store alive

struct UnreadableExpert : std::runtime_error {
    using std::runtime_error::runtime_error;
};

class ExpertStore : public std::enable_shared_from_this<ExpertStore> {
  public:
    // What has been read so far, and what was not: matrices, bytes, seconds.
    struct Counts {
        uint64_t found = 0, missing = 0, bytes = 0;
        double reading = 0;  // while anything was on its way
        double waiting = 0;  // of all threads that compute, for what was on its way
    };

    // Reads past the system's cache unless the files' system cannot. Throws std::system_error.
    explicit ExpertStore(std::vector<std::string> paths);
    ~ExpertStore();
    ExpertStore(const ExpertStore&) = delete;
    ExpertStore& operator=(const ExpertStore&) = delete;

    // Matrices at these offsets of files, by their numbers: `filed`, or packed and at multiples of kPage. Before
    // `reserve`.
    SharedStack stack(size_t pool, Layout layout, size_t rows, size_t columns, std::vector<uint64_t> offsets,
                      std::vector<size_t> files, bool filed);

    // Take this much memory; experts never get the last `buffers` bytes of it. At least two have to find room, which
    // is a slot in every pool. Throws std::bad_alloc, std::system_error.
    void reserve(size_t bytes, size_t buffers);
    size_t bytes_per_expert() const;  // of a slot in every pool
    size_t bytes_to_pack() const;     // of the memory, for rows that are read and yet to be packed
    // Experts in memory while no more than those buffers are lent.
    size_t room() const { return pools_.empty() ? 0 : pools_.front().slots.size(); }
    // The last `bytes` of the memory, from a page on, until this is called again; experts that lie there are
    // forgotten. Null, and nothing changes, if two experts had no room beside it. Between steps.
    std::byte* lend(size_t bytes) noexcept;
    bool is_direct() const { return direct_; }
    // Throws std::invalid_argument without memory, std::runtime_error in a child process, which has no readers.
    void check_ready() const;

    // Begin to read what `busy` experts of stacks of one layer need: all stacks of it, which are given the same order.
    // `counted` is whether `ranks` tells of it.
    void fetch(const std::vector<size_t>& busy, const std::vector<SharedStack>& stacks, bool counted) noexcept;
    // Begin to read what a step needs of stacks of one matrix each, in the order in which they are going to be needed.
    void fetch_all(const std::vector<SharedStack>& stacks) noexcept;
    // The matrix at a place in the stack's order, once it is there; null if it could not be read.
    const std::byte* wait(const ExpertStack& stack, size_t place) noexcept;
    // All matrices of the expert at this place have been waited for and computed.
    void finish(const std::vector<SharedStack>& stacks, size_t place) noexcept;

    // Throws UnreadableExpert if a read has failed since this was last called.
    void check_reads();
    Counts counts() const;
    // How often an expert was wanted than which so many of its layer had been wanted more. As those stay that are
    // wanted most, this is what any number of them would have found.
    std::vector<uint64_t> ranks() const;

    std::mutex one_step;  // of programs that share the store: held from the first fetch to the end

    static constexpr size_t kPage = 4096;
    static constexpr size_t kFewest = 2;  // experts in memory: one is computed while the next is read

  private:
    struct Slot {
        std::byte* data = nullptr;
        ExpertStack* stack = nullptr;  // whose matrix it holds, if any
        size_t expert = 0;
        bool fresh = false;  // awaited, and yet to be computed
        bool held = false;   // being read, or yet to be computed
        uint64_t used = 0;   // when it was, by `clock_`
        size_t slices = 0;   // on their way
        size_t next = 0;     // byte that nobody reads yet
        bool failed = false;
    };
    struct Pool {
        size_t bytes = 0, most = 0;  // of a slot; experts of a layer
        std::vector<Slot> slots;
        std::vector<std::pair<ExpertStack*, size_t>> awaited;  // experts without a slot, from `first` on
        size_t first = 0;
        size_t ahead = 0;  // slots of experts that were awaited and are yet to be computed
        size_t alone = 0;  // stacks of one matrix
    };

    bool reserved() const { return arena_ != nullptr; }
    void read_on(std::byte* room);
    void settle_down();
    void assign(Pool& pool);
    void assign_line();
    void give(Pool& pool, Slot& slot, ExpertStack& stack, size_t expert);
    static void forget(Slot& slot);
    size_t ring(const Pool& pool) const { return usable_ < pool.alone ? kFewest : 0; }
    bool is_home(const ExpertStack& stack) const;
    void settle(Slot& slot);
    size_t fitting(size_t lent) const;
    static bool is_there(const std::vector<SharedStack>& stacks, size_t expert);
    void note_ranks(const ExpertStack& stack, const std::vector<size_t>& busy);
    static void note_use(ExpertStack& stack, const std::vector<size_t>& busy);
    Slot& slot_of(const ExpertStack& stack, size_t expert);

    const pid_t process_;
    const std::vector<std::string> paths_;
    std::vector<int> files_;
    bool direct_ = true;
    std::vector<std::unique_ptr<ExpertStack>> stacks_;
    std::vector<Pool> pools_;
    std::byte* arena_ = nullptr;
    size_t arena_bytes_ = 0;

    mutable std::mutex mutex_;  // of all that follows, and of slots and stacks
    std::condition_variable work_;
    std::vector<Slot*> queue_;  // to be read, a ring
    size_t head_ = 0, queued_ = 0;
    size_t in_flight_ = 0;
    int64_t since_ = 0;  // when something was last begun to be read while nothing was, in nanoseconds
    uint64_t clock_ = 0;
    std::vector<ExpertStack*> line_;  // stacks of one matrix that are awaited, from `line_next_` on without a slot
    size_t line_next_ = 0;
    size_t usable_ = 0;  // slots of each pool, the first ones: on others lies what is lent
    Counts counts_;
    std::vector<uint64_t> ranks_;  // as many as a layer has experts
    std::atomic<int64_t> waited_{0};
    int failure_ = 0;  // errno of the first read that failed, or kEnd
    uint64_t failed_at_ = 0;
    size_t failed_in_ = 0;  // file
    bool stopping_ = false;
    std::vector<std::thread> readers_;
};
using SharedStore = std::shared_ptr<ExpertStore>;

}  // namespace gadfly
