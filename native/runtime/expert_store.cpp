#include "runtime/expert_store.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <system_error>
#include <utility>

#include "formats/size.h"
#include "runtime/require.h"

namespace gadfly {
namespace {

constexpr size_t kReaders = 6;               // slices in flight: disks want several, and more gain little
constexpr size_t kSlice = size_t{2} << 20U;  // bytes of one
constexpr size_t kAhead =
    size_t{16} << 20U;                // bytes in slots of a pool that keep readers busy; all else stays as it is
constexpr size_t kFewest = 2;         // experts in memory: one is computed while the next is read
constexpr double kFading = 1.0 / 24;  // of what is known about use, with each step
constexpr int kEnd = -1;              // instead of an errno: the file ended

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

// Zero, or what went wrong.
int read_fully(int file, std::byte* to, size_t bytes, uint64_t offset, bool direct) {
    const uint64_t start = offset;
    const size_t all = bytes;
    while (bytes > 0) {
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

std::unique_ptr<std::atomic<uint32_t>[]> zeros(size_t count) {
    return std::make_unique<std::atomic<uint32_t>[]>(count);
}

}  // namespace

ExpertStore::ExpertStore(const std::string& path) : process_(getpid()), path_(path), file_(open_file(path, direct_)) {}

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
    close(file_);
}

void ExpertStore::check_ready() const {
    require(reserved(), "a store without memory");
    if (getpid() != process_) throw std::runtime_error("a model whose experts are on disk cannot be used after fork()");
}

SharedStack ExpertStore::stack(size_t pool, Layout layout, size_t rows, size_t columns, std::vector<uint64_t> offsets) {
    require(!reserved(), "a store that has its memory is complete");
    require(!offsets.empty() && pool <= pools_.size(), "a stack has experts, and pools are numbered one by one");
    for (const uint64_t offset : offsets) require(offset % kPage == 0, "matrices begin with a page");
    const size_t count = offsets.size();
    std::unique_ptr<ExpertStack> made(
        new ExpertStack{*this, layout, rows, columns, pool, std::move(offsets), {}, zeros(count), {}, {}, {}, 0});
    made->order.reserve(count);
    made->slots.resize(count);
    made->use.resize(count);
    made->worth.resize(count);
    if (pool == pools_.size()) pools_.emplace_back();
    pools_[pool].bytes = std::max(pools_[pool].bytes, whole_pages(made->bytes()));
    pools_[pool].most = std::max(pools_[pool].most, count);
    ranks_.resize(std::max(ranks_.size(), count));
    stacks_.push_back(std::move(made));
    return {shared_from_this(), stacks_.back().get()};
}

size_t ExpertStore::bytes_per_expert() const {
    size_t bytes = 0;
    for (const Pool& pool : pools_) bytes = sum(bytes, pool.bytes);
    return bytes;
}

// Experts that have room in the arena, beside what is lent of it.
size_t ExpertStore::fitting(size_t lent) const {
    return lent > arena_bytes_ ? 0 : (arena_bytes_ - lent) / bytes_per_expert();
}

void ExpertStore::reserve(size_t bytes, size_t buffers) {
    require(!reserved() && !stacks_.empty(), "memory is reserved once, for the stacks that there are");
    arena_bytes_ = bytes / kPage * kPage;
    size_t all = 0;  // experts, of all layers
    for (const auto& stack : stacks_) all += stack->pool == 0 ? stack->offsets.size() : 0;
    const size_t experts = std::min(std::max(all, kFewest), fitting(buffers));
    require(experts >= kFewest, "one expert is computed while another one is read");
    void* const arena = mmap(nullptr, arena_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (arena == MAP_FAILED) throw std::bad_alloc();
    arena_ = static_cast<std::byte*>(arena);
    for (Pool& pool : pools_) {
        pool.awaited.reserve(pool.most);
        pool.slots.resize(experts);
    }
    std::byte* next = arena_;
    for (size_t i = 0; i < experts; i++) {  // an expert after another, so that the first ones of all pools come first
        for (Pool& pool : pools_) next = (pool.slots[i].data = next) + pool.bytes;
    }
    usable_ = experts;
    queue_.resize(experts * pools_.size());
    for (size_t i = 0; i < kReaders; i++) readers_.emplace_back([this] { read_on(); });
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
        forget(*found);
        const auto [stack, expert] = pool.awaited[pool.first];
        *found = {found->data, stack, expert, true, true, 0, (stack->bytes() + kSlice - 1) / kSlice, 0, false};
        stack->slots[expert] = static_cast<size_t>(found - pool.slots.data());
        queue_[(head_ + queued_++) % queue_.size()] = found;
        pool.ahead++;
        work_.notify_all();
    }
}

ExpertStore::Slot& ExpertStore::slot_of(const ExpertStack& stack, size_t expert) {
    return pools_[stack.pool].slots[stack.slots[expert]];
}

void ExpertStore::read_on() {
    std::unique_lock lock(mutex_);
    for (;;) {
        work_.wait(lock, [this] { return stopping_ || queued_ > 0; });
        if (stopping_) return;
        Slot& slot = *queue_[head_];
        const size_t begin = slot.next, all = whole_pages(slot.stack->bytes());
        slot.next = std::min(begin + kSlice, all);
        if (slot.next == all) head_ = (head_ + 1) % queue_.size(), queued_--;
        const size_t bytes = slot.next - begin;
        const uint64_t offset = slot.stack->offsets[slot.expert] + begin;
        if (in_flight_++ == 0) since_ = nanoseconds();
        lock.unlock();
        const int failure = read_fully(file_, slot.data + begin, bytes, offset, direct_);
        lock.lock();
        if (--in_flight_ == 0) counts_.reading += static_cast<double>(nanoseconds() - since_) * 1e-9;
        if (failure == 0) {
            counts_.bytes += bytes;
        } else {
            slot.failed = true;
            if (failure_ == 0) failure_ = failure, failed_at_ = offset;
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
}

void ExpertStore::check_reads() {
    const std::scoped_lock lock(mutex_);
    const int failure = std::exchange(failure_, 0);
    if (failure == 0) return;
    const std::string what = failure == kEnd ? "the file ends before it" : std::strerror(failure);
    throw UnreadableExpert(path_ + ": an expert at byte " + std::to_string(failed_at_) + " cannot be read: " + what);
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
