#include "runtime/expert_store.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <numeric>
#include <system_error>
#include <utility>

#include "formats/repack.h"
#include "formats/size.h"
#include "runtime/require.h"

namespace gadfly {
namespace {

constexpr size_t kReaders = 6;                // slices in flight: disks want several, and more gain little
constexpr size_t kSlice = size_t{2} << 20U;   // bytes of one
constexpr size_t kAhead = size_t{16} << 20U;  // bytes in a pool's slots that keep readers busy; all else stays as it is
constexpr double kFading = 1.0 / 24;          // of what is known about use, with each step
constexpr int kEnd = -1;                      // instead of an errno: the file ended

size_t whole_pages(size_t bytes) {
    return sum(bytes, ExpertStore::kPage - 1) / ExpertStore::kPage * ExpertStore::kPage;
}

int64_t nanoseconds() { return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1); }

// Past the system's cache where that is possible: it would hold everything twice.
int open_file(const std::string& path, bool& direct) {
#ifdef O_DIRECT
    int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT);
    if (file >= 0) return file;
#endif
    direct = false;
    file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) throw std::system_error(errno, std::generic_category(), path);
#ifdef F_NOCACHE
    direct = fcntl(file, F_NOCACHE, 1) == 0;
#endif
    return file;
}

// Zero, or what went wrong before `needed` of these bytes were there: a file may end before its last page does.
int read_fully(int file, std::byte* to, size_t needed, size_t bytes, uint64_t offset, bool direct) {
    const uint64_t start = offset;
    const size_t all = bytes;
    while (all - bytes < needed) {
        const ssize_t got = pread(file, to, bytes, static_cast<off_t>(offset));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return got < 0 ? errno : kEnd;
        to += got, offset += static_cast<uint64_t>(got), bytes -= static_cast<size_t>(got);
    }
#ifdef POSIX_FADV_DONTNEED
    if (!direct) posix_fadvise(file, static_cast<off_t>(start), static_cast<off_t>(all), POSIX_FADV_DONTNEED);
#endif
    return 0;
}

// These bytes of a file from wherever they begin, into pages: they begin there as far into a page as in the file.
int read_anywhere(int file, std::byte* to, size_t bytes, uint64_t offset, bool direct) {
    const size_t into = offset % ExpertStore::kPage;
    return read_fully(file, to, into + bytes, whole_pages(into + bytes), offset - into, direct);
}

// Packs a slice of rows, whole strips of them, the first of which is byte `begin` of a matrix.
void pack_slice(const ExpertStack& stack, size_t begin, size_t bytes, const std::byte* rows, std::byte* packed) {
    const size_t row_bytes = file_row_bytes(stack.layout, stack.columns);
    const size_t first = begin / row_bytes, count = bytes / row_bytes;
    if ((first + count) % kStrip != 0) {  // rows that fill the last strip up are zero
        const size_t strip = packed_bytes(stack.layout, kStrip, stack.columns);
        std::memset(packed + (first + count) / kStrip * strip, 0, strip);
    }
    pack_rows(stack.layout, stack.columns, first, count, reinterpret_cast<const uint8_t*>(rows), packed);
}

// Numbers from 0 to count - 1, so that the first of them, however many, are spread evenly among all.
std::vector<size_t> spread(size_t count) {
    std::vector<size_t> order(count);
    std::iota(order.begin(), order.end(), size_t{0});
    const auto turn = [](size_t i) { return std::fmod(static_cast<double>(i) * 0.6180339887498949, 1.0); };
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return turn(a) < turn(b); });
    return order;
}

std::unique_ptr<std::atomic<uint32_t>[]> zeros(size_t count) {
    return std::make_unique<std::atomic<uint32_t>[]>(count);
}

}  // namespace

size_t ExpertStack::bytes_read() const {
    return filed ? product({rows, file_row_bytes(layout, columns)}) : whole_pages(bytes());
}

size_t ExpertStack::slice() const {
    if (!filed) return kSlice;
    const size_t strip = product({kStrip, file_row_bytes(layout, columns)});
    return std::max(strip, kSlice / strip * strip);
}

ExpertStore::ExpertStore(std::vector<std::string> paths) : process_(getpid()), paths_(std::move(paths)) {
    try {
        for (const std::string& path : paths_) files_.push_back(open_file(path, direct_));
    } catch (...) {
        for (const int file : files_) close(file);
        throw;
    }
}

ExpertStore::~ExpertStore() {
    if (getpid() == process_) {
        {
            const std::scoped_lock lock(mutex_);
            stopping_ = true;
        }
        work_.notify_all();
        for (std::thread& reader : readers_) reader.join();
    } else {  // as ThreadPool does
        new std::vector<std::thread>(std::move(readers_));
    }
    if (arena_ != nullptr) munmap(arena_, arena_bytes_);
    for (const int file : files_) close(file);
}

void ExpertStore::check_ready() const {
    require(reserved(), "a store without memory");
    if (getpid() != process_) throw std::runtime_error("a model whose weights are on disk cannot be used after fork()");
}

SharedStack ExpertStore::stack(size_t pool, Layout layout, size_t rows, size_t columns, std::vector<uint64_t> offsets,
                               std::vector<size_t> files, bool filed) {
    require(!reserved(), "a store that has its memory is complete");
    require(!offsets.empty() && pool <= pools_.size(), "a stack has experts, and pools are numbered one by one");
    require(files.size() == offsets.size(), "every matrix is in a file");
    for (const size_t file : files) require(file < files_.size(), "no file of that number");
    for (const uint64_t offset : offsets) require(filed || offset % kPage == 0, "matrices begin with a page");
    require(!filed || layout != Layout::kI8, "int8 matrices are packed before they are read");
    const size_t count = offsets.size();
    std::unique_ptr<ExpertStack> made(new ExpertStack{*this,
                                                      layout,
                                                      rows,
                                                      columns,
                                                      pool,
                                                      std::move(offsets),
                                                      std::move(files),
                                                      filed,
                                                      {},
                                                      zeros(count),
                                                      {},
                                                      {},
                                                      {},
                                                      0,
                                                      0});
    made->order.reserve(count);
    made->slots.resize(count);
    made->use.resize(count);
    made->worth.resize(count);
    if (pool == pools_.size()) pools_.emplace_back();
    pools_[pool].bytes = std::max(pools_[pool].bytes, whole_pages(made->bytes()));
    pools_[pool].most = std::max(pools_[pool].most, count);
    pools_[pool].alone += count == 1 ? 1 : 0;
    ranks_.resize(std::max(ranks_.size(), count));
    stacks_.push_back(std::move(made));
    return {shared_from_this(), stacks_.back().get()};
}

size_t ExpertStore::bytes_per_expert() const {
    size_t bytes = 0;
    for (const Pool& pool : pools_) bytes = sum(bytes, pool.bytes);
    return bytes;
}

size_t ExpertStore::bytes_to_pack() const {
    size_t most = 0;  // of a slice, from anywhere in a page to anywhere in another one
    for (const auto& stack : stacks_) most = std::max(most, stack->filed ? whole_pages(stack->slice()) + 2 * kPage : 0);
    return kReaders * most;
}

// Experts that have room in the arena, beside what is lent of it.
size_t ExpertStore::fitting(size_t lent) const {
    const size_t taken = sum(lent, bytes_to_pack());
    return taken > arena_bytes_ ? 0 : (arena_bytes_ - taken) / bytes_per_expert();
}

// Every stack of one matrix has a home. Those that come first, however many have room, are spread evenly among all, so
// that while some are computed one of the others is read.
void ExpertStore::settle_down() {
    for (size_t p = 0; p < pools_.size(); p++) {
        std::vector<ExpertStack*> alone;
        for (const auto& stack : stacks_) {
            if (stack->pool == p && stack->offsets.size() == 1) alone.push_back(stack.get());
        }
        const std::vector<size_t> order = spread(alone.size());
        for (size_t slot = 0; slot < order.size(); slot++) alone[order[slot]]->home = slot;
    }
    line_.reserve(stacks_.size());
}

void ExpertStore::reserve(size_t bytes, size_t buffers) {
    require(!reserved() && !stacks_.empty(), "memory is reserved once, for the stacks that there are");
    arena_bytes_ = bytes / kPage * kPage;
    std::vector<size_t> held(pools_.size());  // matrices, of all layers: some may lack one that others have
    for (const auto& stack : stacks_) held[stack->pool] += stack->offsets.size();
    const size_t all = *std::max_element(held.begin(), held.end());
    const size_t experts = std::min(std::max(all, kFewest), fitting(buffers));
    require(experts >= kFewest, "one expert is computed while another one is read");
    void* const arena = mmap(nullptr, arena_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (arena == MAP_FAILED) throw std::bad_alloc();
    arena_ = static_cast<std::byte*>(arena);
    for (Pool& pool : pools_) {
        pool.awaited.reserve(pool.most);
        pool.slots.resize(experts);
    }
    std::byte* next = arena_ + bytes_to_pack();
    for (size_t i = 0; i < experts; i++) {  // an expert after another, so that the first ones of all pools come first
        for (Pool& pool : pools_) next = (pool.slots[i].data = next) + pool.bytes;
    }
    usable_ = experts;
    queue_.resize(experts * pools_.size());
    settle_down();
    for (size_t i = 0; i < kReaders; i++) {
        readers_.emplace_back([this, room = arena_ + i * bytes_to_pack() / kReaders] { read_on(room); });
    }
}

std::byte* ExpertStore::lend(size_t bytes) noexcept {
    const size_t lent = whole_pages(bytes), fits = fitting(lent);
    if (fits < kFewest) return nullptr;
    const std::scoped_lock lock(mutex_);
    usable_ = std::min(fits, room());
    for (Pool& pool : pools_) {
        for (size_t i = usable_; i < pool.slots.size(); i++) forget(pool.slots[i]);
    }
    return arena_ + arena_bytes_ - lent;
}

void ExpertStore::forget(Slot& slot) {
    if (slot.stack != nullptr) slot.stack->states[slot.expert] = ExpertStack::kAbsent;
    slot.stack = nullptr;
}

bool ExpertStore::is_there(const std::vector<SharedStack>& stacks, size_t expert) {
    return std::all_of(stacks.begin(), stacks.end(), [expert](const SharedStack& stack) {
        return stack->states[expert].load(std::memory_order_relaxed) == ExpertStack::kPresent;
    });
}

void ExpertStore::note_ranks(const ExpertStack& stack, const std::vector<size_t>& busy) {
    for (const size_t expert : busy) {
        size_t rank = 0;
        for (size_t e = 0; e < stack.worth.size(); e++) {
            const int64_t more = stack.worth[e] - stack.worth[expert];
            rank += more > 0 || (more == 0 && e < expert);
        }
        ranks_[rank]++;
    }
}

void ExpertStore::note_use(ExpertStack& stack, const std::vector<size_t>& busy) {
    stack.known += kFading * (1 - stack.known);
    for (double& use : stack.use) use *= 1 - kFading;
    for (const size_t expert : busy) stack.use[expert] += kFading;
    for (size_t e = 0; e < stack.use.size(); e++) stack.worth[e] = std::llround(stack.use[e] / stack.known * 1e6);
}

void ExpertStore::fetch(const std::vector<size_t>& busy, const std::vector<SharedStack>& stacks,
                        bool counted) noexcept {
    const std::scoped_lock lock(mutex_);
    if (counted) note_ranks(*stacks.front(), busy);
    for (const SharedStack& stack : stacks) {
        note_use(*stack, busy);
        stack->order.clear();
        pools_[stack->pool].awaited.clear();
        pools_[stack->pool].first = 0;
    }
    for (const bool there : {true, false}) {
        for (const size_t expert : busy) {
            if (is_there(stacks, expert) != there) continue;
            for (const SharedStack& stack : stacks) {
                stack->order.push_back(expert);
                if (there) {
                    slot_of(*stack, expert).held = true;
                    continue;
                }
                if (stack->states[expert] == ExpertStack::kPresent) forget(slot_of(*stack, expert));
                stack->states[expert].store(ExpertStack::kAwaited, std::memory_order_relaxed);
                pools_[stack->pool].awaited.emplace_back(stack.get(), expert);
            }
            (there ? counts_.found : counts_.missing) += stacks.size();
        }
    }
    for (const SharedStack& stack : stacks) assign(pools_[stack->pool]);
}

// Slots to those that are awaited, as far as there are any that nobody needs.
void ExpertStore::assign(Pool& pool) {
    for (; pool.first < pool.awaited.size(); pool.first++) {
        Slot* found = nullptr;
        const auto rank = [](const Slot& slot) {  // who is replaced first
            return slot.stack == nullptr ? std::pair(int64_t{-1}, int64_t{0})
                                         : std::pair(slot.stack->worth[slot.expert], -static_cast<int64_t>(slot.used));
        };
        for (size_t i = 0; i < usable_; i++) {
            Slot& slot = pool.slots[i];
            if (!slot.held && (found == nullptr || rank(slot) < rank(*found))) found = &slot;
        }
        const bool busy = pool.ahead >= 2 && pool.ahead * bytes_per_expert() >= kAhead * pools_.size();
        if (found == nullptr || busy) return;
        const auto [stack, expert] = pool.awaited[pool.first];
        give(pool, *found, *stack, expert);
    }
}

// The slot is for this matrix, and readers fill it.
void ExpertStore::give(Pool& pool, Slot& slot, ExpertStack& stack, size_t expert) {
    forget(slot);
    const size_t slice = stack.slice();
    slot = {slot.data, &stack, expert, true, true, 0, (stack.bytes_read() + slice - 1) / slice, 0, false};
    stack.slots[expert] = static_cast<size_t>(&slot - pool.slots.data());
    queue_[(head_ + queued_++) % queue_.size()] = &slot;
    pool.ahead++;
    work_.notify_all();
}

bool ExpertStore::is_home(const ExpertStack& stack) const {
    return stack.home >= ring(pools_[stack.pool]) && stack.home < usable_;
}

void ExpertStore::fetch_all(const std::vector<SharedStack>& stacks) noexcept {
    const std::scoped_lock lock(mutex_);
    for (Pool& pool : pools_) {  // what passed through the ring is of no use: its turn comes last
        for (size_t i = 0; i < usable_; i++) {
            Slot& slot = pool.slots[i];
            if (slot.stack != nullptr && (i < ring(pool) || i != slot.stack->home)) forget(slot);
        }
    }
    line_.clear();
    line_next_ = 0;
    for (const SharedStack& stack : stacks) {
        stack->order.assign(1, 0);
        if (stack->states[0].load(std::memory_order_relaxed) == ExpertStack::kPresent) {
            slot_of(*stack, 0).held = true;
            counts_.found++;
            continue;
        }
        stack->states[0].store(ExpertStack::kAwaited, std::memory_order_relaxed);
        line_.push_back(stack.get());
        counts_.missing++;
    }
    assign_line();
}

// As `assign`, though nobody overtakes: matrices at home where they live, the others through the ring.
void ExpertStore::assign_line() {
    for (; line_next_ < line_.size(); line_next_++) {
        ExpertStack& stack = *line_[line_next_];
        Pool& pool = pools_[stack.pool];
        Slot* slot = is_home(stack) ? &pool.slots[stack.home] : nullptr;
        for (size_t i = 0; slot == nullptr && i < ring(pool); i++) {
            if (!pool.slots[i].held) slot = &pool.slots[i];
        }
        if (slot == nullptr || (pool.ahead >= 2 && pool.ahead * pool.bytes >= kAhead)) return;
        give(pool, *slot, stack, 0);
    }
}

ExpertStore::Slot& ExpertStore::slot_of(const ExpertStack& stack, size_t expert) {
    return pools_[stack.pool].slots[stack.slots[expert]];
}

void ExpertStore::read_on(std::byte* room) {
    std::unique_lock lock(mutex_);
    for (;;) {
        work_.wait(lock, [this] { return stopping_ || queued_ > 0; });
        if (stopping_) return;
        Slot& slot = *queue_[head_];
        const ExpertStack& stack = *slot.stack;
        const size_t begin = slot.next, all = stack.bytes_read();
        slot.next = std::min(begin + stack.slice(), all);
        if (slot.next == all) head_ = (head_ + 1) % queue_.size(), queued_--;
        const size_t bytes = slot.next - begin;
        const uint64_t offset = stack.offsets[slot.expert] + begin;
        const size_t file = stack.files[slot.expert];
        if (in_flight_++ == 0) since_ = nanoseconds();
        lock.unlock();
        const int failure = stack.filed ? read_anywhere(files_[file], room, bytes, offset, direct_)
                                        : read_fully(files_[file], slot.data + begin, bytes, bytes, offset, direct_);
        lock.lock();
        if (--in_flight_ == 0) counts_.reading += static_cast<double>(nanoseconds() - since_) * 1e-9;
        if (failure == 0) {
            counts_.bytes += bytes;
        } else {
            slot.failed = true;
            if (failure_ == 0) failure_ = failure, failed_at_ = offset, failed_in_ = file;
        }
        if (failure == 0 && stack.filed) {
            lock.unlock();
            pack_slice(stack, begin, bytes, room + offset % kPage, slot.data);
            lock.lock();
        }
        if (--slot.slices == 0) settle(slot);
    }
}

// All of a slot's slices are there, or will never be.
void ExpertStore::settle(Slot& slot) {
    std::atomic<uint32_t>& state = slot.stack->states[slot.expert];
    state.store(slot.failed ? ExpertStack::kFailed : ExpertStack::kPresent, std::memory_order_release);
    state.notify_all();
}

const std::byte* ExpertStore::wait(const ExpertStack& stack, size_t place) noexcept {
    const size_t expert = stack.order[place];
    const std::atomic<uint32_t>& state = stack.states[expert];
    uint32_t seen = state.load(std::memory_order_acquire);
    if (seen == ExpertStack::kAwaited) {
        const int64_t began = nanoseconds();
        do state.wait(seen, std::memory_order_acquire);
        while ((seen = state.load(std::memory_order_acquire)) == ExpertStack::kAwaited);
        waited_.fetch_add(nanoseconds() - began, std::memory_order_relaxed);
    }
    return seen == ExpertStack::kPresent ? slot_of(stack, expert).data : nullptr;
}

void ExpertStore::finish(const std::vector<SharedStack>& stacks, size_t place) noexcept {
    const std::scoped_lock lock(mutex_);
    clock_++;
    for (const SharedStack& stack : stacks) {
        Slot& slot = slot_of(*stack, stack->order[place]);
        Pool& pool = pools_[stack->pool];
        if (std::exchange(slot.fresh, false)) pool.ahead--;
        slot.held = false;
        slot.used = clock_;
        if (slot.failed) forget(slot);  // the next step may have more luck
    }
    for (const SharedStack& stack : stacks) assign(pools_[stack->pool]);
    assign_line();
}

void ExpertStore::check_reads() {
    const std::scoped_lock lock(mutex_);
    const int failure = std::exchange(failure_, 0);
    if (failure == 0) return;
    const std::string what = failure == kEnd ? "the file ends before it" : std::strerror(failure);
    throw UnreadableExpert(paths_[failed_in_] + ": weights at byte " + std::to_string(failed_at_) +
                           " cannot be read: " + what);
}

ExpertStore::Counts ExpertStore::counts() const {
    const std::scoped_lock lock(mutex_);
    Counts found = counts_;
    found.waiting = static_cast<double>(waited_.load(std::memory_order_relaxed)) * 1e-9;
    return found;
}

std::vector<uint64_t> ExpertStore::ranks() const {
    const std::scoped_lock lock(mutex_);
    return ranks_;
}

}  // namespace gadfly
